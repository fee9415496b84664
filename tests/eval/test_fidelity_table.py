"""bench/fidelity_table.py: runs of `vase fidelity` side by side, without a model."""

import json
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).parents[2] / "bench" / "fidelity_table.py"


def write(path, text, policies, model="m.gguf (12-ab)"):
    lines = [{"vase_fidelity": 1, "model": model, "text": text}]
    for policy, divergences in policies.items():
        lines += [{"policy": policy, "budget": "4x", "rows": 384, "from": 512 * part, "to": (512, 767)[part], "kl": kl} for part, kl in enumerate(divergences)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def printed(*runs):
    return subprocess.run([sys.executable, SCRIPT, *runs], capture_output=True, text=True, timeout=60)


def test_the_mean_is_over_tokens(tmp_path):
    prose = write(tmp_path / "prose.jsonl", "prose.txt", {"vase": [0.1, 0.4], "random": [0.2, 0.3]})
    code = write(tmp_path / "code.jsonl", "code.txt", {"vase": [0.3, 0.3]})
    said = printed(prose, code)
    assert said.returncode == 0, said.stderr
    assert "m.gguf, 768 tokens" in said.stdout
    assert "| policy | prose, 4x (384) | code, 4x (384) |" in said.stdout
    # (512 * 0.1 + 255 * 0.4) / 767 and (512 * 0.2 + 255 * 0.3) / 767: not the means of two parts.
    assert "| `vase` | **0.1997** | **0.3000** |" in said.stdout
    assert "| `random` | 0.2332 | - |" in said.stdout


def test_models_have_tables_of_their_own(tmp_path):
    said = printed(write(tmp_path / "a.jsonl", "t.txt", {"vase": [1, 1]}), write(tmp_path / "b.jsonl", "t.txt", {"vase": [2, 2]}, "n.gguf"))
    assert said.stdout.count("| policy |") == 2


def test_another_file_is_refused(tmp_path):
    other = tmp_path / "eval.jsonl"
    other.write_text('{"vase_eval": 1}\n')
    said = printed(other)
    assert said.returncode == 2 and "eval.jsonl is no run of vase fidelity" in said.stderr
    said = printed(tmp_path / "none.jsonl")
    assert said.returncode == 2 and "none.jsonl" in said.stderr
