"""`vase report` on small runs: the page stands alone, the pictures are there and hold something."""

import json
import os
import re
import struct
import subprocess
import sys
import zlib

import pytest

pytest.importorskip("matplotlib", reason="scripts/make-test-venv.sh installs it")

PROGRAM = os.environ.get("VASE_PROGRAM")
pytestmark = pytest.mark.skipif(not PROGRAM, reason="VASE_PROGRAM names no program")

SETTINGS = {"vase_eval": 1, "settings": {"model": "tiny <model>.gguf (1-2)"}}
POLICIES = {"vase": 0.8, "random+prompt": 0.4}


def record(task, index, policy, budget, rows, correct):
    line = {
        "task": task, "tier": "2k", "id": f"{task}-{index}", "policy": policy, "budget": budget,
        "sample": 0, "correct": correct, "answer": None, "expected": "7",
        "finish": "end" if correct else "length",
        "loop": None if correct else {"period": 4, "tokens": 400},
        "prompt_tokens": 90, "tokens": 1800 + index, "evictions": 3, "peak_kv_bytes": 2**20,
        "seconds": 9.0, "share_seconds": 1.0, "seed": 1, "temperature": 0.0,
    }  # fmt: skip
    if policy != "full":
        line["params"] = {
            "policy": policy.split("+")[0], "budget": rows, "recency": 64, "interval": 64,
            "window": 64, "sinks": 4, "protect": 100, "pooling": 5, "temperature": 1.0,
            "lambda": 0.5, "pin_prompt": 0.0,
        }  # fmt: skip
    return line


def evaluation():
    lines = [SETTINGS]
    for task in ("graph", "subset"):
        for index in range(10):
            lines.append(record(task, index, "full", "full", 0, True))
            for policy, right in POLICIES.items():
                for budget, rows in (("2x", 960), ("4x", 480)):
                    lines.append(record(task, index, policy, budget, rows, index < 10 * right))
    return lines


def fidelity():
    lines = [{"vase_fidelity": 1, "model": "tiny.gguf (1-2)", "text": "text.txt", "seed": 1}]
    for policy in POLICIES:
        for start in range(0, 2048, 512):
            lines.append({"policy": policy, "budget": "4x", "rows": 512, "from": start,
                          "to": start + 512, "kl": 0.01 * start / 512, "nll": 2.0,
                          "nll_full": 1.9, "same_top": 0.9})  # fmt: skip
    return lines


RECALL = {"vase_recall": 1, "settings": {"model": "tiny.gguf (1-2)", "cache_types": "f16/f16",
                                         "texts": {"files": ["novel.txt (3-4)"]}}}  # fmt: skip
CATEGORIES = {"needle": (0.1, 0.5, 0.9), "common": (None,)}


def recall():
    """Ten texts, asked twice: the full cache knows all, of policies the first texts."""
    lines = [RECALL]
    for policy, right in {"full": 1.0, **POLICIES}.items():
        for text in range(10):
            for after in (0, 300):
                for category, depths in CATEGORIES.items():
                    for depth in depths:
                        known = text < 10 * right - (after > 0)
                        lines.append({
                            "category": category, "depth": depth, "length": 1024, "text": text,
                            "item": f"{category}@{depth}", "policy": policy,
                            "budget": "full" if policy == "full" else "4x", "rows": 256,
                            "after": after, "right": known, "fraction": float(known),
                            "expected": ["7"], "answer": "7",
                        })  # fmt: skip
    return lines


BENCH = {
    "model": "m", "description": "tiny", "policy": "vase", "budget": 512, "tokens_per_depth": 64,
    "plain": {"kv_bytes": 4 * 2**20}, "bounded": {"kv_bytes": 2**20},
    "depths": [
        {"depth": depth, "plain": {"tokens_per_second": 90 - depth / 100},
         "bounded": {"tokens_per_second": 85}} for depth in (1024, 2048, 4096)
    ],
}  # fmt: skip


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def run(arguments, **environment):
    return subprocess.run(
        [PROGRAM, "report", *arguments],
        env={**os.environ, "VASE_PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
    )


def shades(png):
    """How many different bytes an 8-bit PNG's pixels hold: a blank picture has one or two."""
    data, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    return len(set(zlib.decompress(data)))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    bench = folder / "bench.json"
    without_plain = {key: value for key, value in BENCH.items() if key != "plain"}
    write_lines(bench, [BENCH, without_plain])
    outcome = run(
        [
            write_lines(folder / "run.jsonl", evaluation()),
            write_lines(folder / "recall.jsonl", recall()),
            write_lines(folder / "fidelity.jsonl", fidelity()),
            str(bench),
            "--out",
            str(folder / "out"),
        ]
    )
    assert outcome.returncode == 0, outcome.stderr
    return folder / "out", outcome.stdout.splitlines()


def test_every_picture_is_there_and_not_blank(report):
    folder, said = report
    names = ["accuracy-2k", "tasks-2k", "loops-2k", "lengths-2k", "recall-by-depth-1024",
             "recall-by-category-1024", "kl-by-position", "speed-and-memory"]  # fmt: skip
    assert sorted(p.stem for p in folder.glob("*.png")) == sorted(names)
    for name in names:
        assert shades((folder / f"{name}.png").read_bytes()) > 50, name
        assert str(folder / f"{name}.png") in said


def test_the_page_needs_nothing_else(report):
    page = (report[0] / "index.html").read_text()
    assert page.count("<svg") == 8
    assert not re.search(r"(src|href)=[\"'](?!#|data:)", page)
    assert "@import" not in page and "<script" not in page
    assert not re.search(r"url\((?!#)", page)
    assert "prefers-color-scheme: dark" in page
    assert "#010203" not in page, "a colour that should follow light and dark"


def test_the_page_shows_the_numbers(report):
    page = (report[0] / "index.html").read_text()
    assert "tiny &lt;model&gt;.gguf" in page
    assert "<td>80.0</td>" in page and "<td>40.0</td>" in page
    assert "<td class='worse'>-40.0</td>" in page
    assert "<td>0.0150</td>" in page, "the mean divergence"


def test_recall_is_compared_where_it_was_asked(report):
    page = (report[0] / "index.html").read_text()
    assert "Recall against vase" in page
    rows = re.findall(r"<tr>(.*?)</tr>", page[page.index("Recall against vase") :])
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
    full = next(row for row in cells if row[1:4] == ["300", "4x", "full"])
    assert full[4] == "+20.0" and full[6:8] == ["8", "0"] and full[-2:] == ["40", "10"]


def test_recall_of_one_policy_and_no_depth(tmp_path):
    lines = [line for line in recall() if line.get("category", "common") == "common"]
    lines = [line for line in lines if line.get("policy") in (None, "vase")]
    outcome = run([write_lines(tmp_path / "r.jsonl", lines), "-o", str(tmp_path / "o")])
    assert outcome.returncode == 0, outcome.stderr
    assert [p.stem for p in (tmp_path / "o").glob("*.png")] == ["recall-by-category-1024"]


def test_short_texts_come_first(tmp_path):
    files = []
    for length, items in ((16384, 1), (4096, 2)):  # settings are not sorted as lengths are
        settings = {**RECALL["settings"], "texts": {"files": ["novel.txt (3-4)"], "items": items}}
        lines = [{**line, "length": length} for line in recall()[1:] if line["policy"] == "vase"]
        files.append(write_lines(tmp_path / f"{length}.jsonl", [{**RECALL, "settings": settings}, *lines]))
    outcome = run([*files, "-o", str(tmp_path / "o")])
    assert outcome.returncode == 0, outcome.stderr
    page = (tmp_path / "o" / "index.html").read_text()
    assert page.index("4,096 tokens") < page.index("16,384 tokens")


def test_ids_of_pictures_do_not_clash(report):
    ids = re.findall(r'id="([^"]+)"', (report[0] / "index.html").read_text())
    assert len(ids) == len(set(ids))


def test_says_what_it_cannot_read(tmp_path):
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert "is none of these" in run([str(other)]).stderr
    assert "cannot read" in run([str(tmp_path / "missing")]).stderr


def test_says_what_to_install(tmp_path):
    run_file = write_lines(tmp_path / "run.jsonl", evaluation())
    outcome = run([run_file, "-o", str(tmp_path / "o")], VASE_PYTHON="/nonexistent/python")
    assert outcome.returncode == 1
    assert "cannot start /nonexistent/python" in outcome.stderr
