"""bench/quantised_cache.sh on a tiny model, and the table that it prints."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

BENCH = pathlib.Path(__file__).parents[2] / "bench"
sys.path.insert(0, str(BENCH))
import quantised_cache_table as tables  # noqa: E402

PROGRAM, WRITE_MODEL = os.environ.get("VASE_PROGRAM"), os.environ.get("VASE_WRITE_MODEL")
needs_program = pytest.mark.skipif(not (PROGRAM and WRITE_MODEL), reason="VASE_PROGRAM and VASE_WRITE_MODEL name no programs")


def rows_of(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")]


@needs_program
def test_the_script_goes_on_where_it_stopped_and_prints_every_type_and_budget(tmp_path):
    subprocess.run([WRITE_MODEL, tmp_path / "tiny.gguf"], check=True)
    sums = tmp_path / "sums.jsonl"
    sums.write_text('{"question": "1 + 1?", "answer": 2}\n{"question": "2 + 2?", "answer": 4}\n')
    text = tmp_path / "text.txt"
    text.write_text(" ".join(f"Line {i * i} of a text." for i in range(40)))
    environment = {**os.environ, "VASE": PROGRAM, "OUT": str(tmp_path / "out"), "TEXT": str(text), "TOKENS": "400",
                   "BUDGETS": "2x,128", "COMMON": f"-m {tmp_path / 'tiny.gguf'} -t 1", "OMP_WAIT_POLICY": "passive"}  # fmt: skip
    command = [BENCH / "quantised_cache.sh", "--problems", sums, "--chat-template", "chatml", "-n", "150"]

    def run(**more):
        done = subprocess.run(command, env=environment | more, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return rows_of(done.stdout)

    run(TYPES="f16 q8_0")
    before = (tmp_path / "out/eval-q8_0.jsonl").read_text()
    header, _, *rows = run()
    assert (tmp_path / "out/eval-q8_0.jsonl").read_text() == before, "nothing is asked again"
    assert header[:4] == ["types", "policy", "budget", "KV cache"]
    names = [tuple(row[:3]) for row in rows]
    assert sorted(names) == sorted(
        (kind, policy, budget) for kind in ("f16", "q8_0", "q4_0")
        for policy, budget in (("`full`", "full"), ("`vase-plus`", "2x"), ("`vase-plus`", "128"))
    )  # fmt: skip
    divergence = {name: float(row[6].strip("*")) for name, row in zip(names, rows)}
    assert divergence["f16", "`full`", "full"] == 0 < divergence["q4_0", "`full`", "full"]


def test_fidelity_is_the_mean_over_positions_of_all_buckets(tmp_path):
    file = tmp_path / "fidelity.jsonl"
    lines = [{"vase_fidelity": 1, "cache_types": "q8_0/q4_0"}]
    for start, end, kl in ((0, 100, 0.1), (100, 400, 0.5)):
        lines.append({"policy": "vase", "budget": "4x", "from": start, "to": end, "kl": kl, "same_top": 1.0,
                      "peak_kv_bytes": 2**20})  # fmt: skip
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (entry,) = tables.read_fidelity(str(file))
    assert entry["kl"] == pytest.approx(0.4)
    assert rows_of(tables.fidelity_table([entry]))[2] == ["q8_0/q4_0", "`vase`", "4x", "1.00 MiB", "**0.4000**", "100.0%"]


def test_bold_is_what_nothing_smaller_betters():
    rows = [{"bytes": size, "accuracy": right} for size, right in ((4, 0.9), (3, 0.5), (2, 0.7), (2, 0.6), (1, 0.2))]
    assert tables.best_of(rows, lambda row: row["accuracy"]) == {0, 2, 4}
