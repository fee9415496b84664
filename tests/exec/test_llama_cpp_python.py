"""llama-cpp-python, unmodified, with its cache bounded: Llama, its chat, its states, its server."""

import json
import os
import pathlib
import subprocess
import sys
import tarfile
import time
import urllib.request

import pytest

from conftest import CACHE
from llama_programs import ENVIRONMENT, SANITIZED, VASE, free_port

pytestmark = pytest.mark.skipif(SANITIZED, reason="Python is not sanitized, and loads the library late")

OURS = os.environ.get("VASE_PYTHON_FOLDER", "build/release/python")
LIBRARIES = os.environ.get("VASE_LIBLLAMA_FOLDER", "")
LONG = "Some words that come again. " * 40


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """The package as its sdist has it, over the libllama that vase was built for."""
    sdist = next(CACHE.glob("downloads/llama_cpp_python-*.tar.gz"), None)
    if sdist is None or not pathlib.Path(OURS, "vase").exists():
        pytest.skip("no sdist of llama-cpp-python in the cache, or no Python package of ours")
    folder = tmp_path_factory.mktemp("llama_cpp_python")
    with tarfile.open(sdist) as archive:
        for member in archive:
            parts = pathlib.PurePath(member.name).parts
            if len(parts) > 2 and parts[1] == "llama_cpp":
                member.name = str(pathlib.PurePath(*parts[1:]))
                archive.extract(member, folder, filter="data")
    os.symlink(LIBRARIES, folder / "llama_cpp" / "lib")
    return {**ENVIRONMENT, "VASE_PROGRAM": VASE, "PYTHONPATH": f"{OURS}:{folder}"}


def run(environment, code, *arguments, budget=256, **options):
    command = [sys.executable, "-m", "vase.llama_cpp", "--budget", str(budget), "--recency", "32", "--interval",
               "32", "--", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200, **options)


@pytest.fixture
def script(tmp_path):
    def write(text):
        path = tmp_path / "script.py"
        path.write_text("import sys\nfrom llama_cpp import Llama\n"
                        "model = Llama(sys.argv[1], n_ctx=2048, n_batch=128, n_threads=1, verbose=False, seed=1)\n"
                        f"LONG = {LONG!r}\n" + text)
        return str(path)

    return write


def test_a_model_answers_and_goes_on(environment, script, model):
    code = script("""
first = model(LONG, max_tokens=300, temperature=0)
text = first["choices"][0]["text"]
assert first["usage"]["completion_tokens"] == 300, first
assert model.n_ctx() == 2048
before = model.n_tokens
second = model(LONG + text, max_tokens=20, temperature=0)  # what is there is not read again
assert model.n_tokens - before < 40, (before, model.n_tokens)
state = model.save_state()
third = model(LONG + text + "x", max_tokens=20, temperature=0)["choices"][0]["text"]
model.load_state(state)
assert model(LONG + text + "x", max_tokens=20, temperature=0)["choices"][0]["text"][:5] == third[:5]
other = model("Quite another text.", max_tokens=5)  # and this begins anew
print(len(state.llama_state))
""")
    result = run(environment, code, model)
    assert result.returncode == 0, result.stderr[-3000:]
    assert int(result.stdout) < 8 << 20
    assert "in 256 rows each" in result.stderr and "1 taken back" in result.stderr
    assert "evictions" in result.stderr.splitlines()[-1]


def test_chat_and_cache(environment, script, model):
    code = script("""
from llama_cpp import LlamaRAMCache
model.set_cache(LlamaRAMCache())
messages = [{"role": "user", "content": LONG}]
answer = model.create_chat_completion(messages, max_tokens=100, temperature=0)
messages += [answer["choices"][0]["message"], {"role": "user", "content": "Go on."}]
model.create_chat_completion([{"role": "user", "content": LONG[::-1]}], max_tokens=10, temperature=0)
answer = model.create_chat_completion(messages, max_tokens=50, temperature=0)
print(answer["usage"]["completion_tokens"])
""")
    result = run(environment, code, model)
    assert result.returncode == 0, result.stderr[-3000:]
    assert int(result.stdout) > 0


def test_its_server(environment, model, tmp_path):
    port = free_port()
    command = [sys.executable, "-m", "vase.llama_cpp", "--budget", "256", "--recency", "32", "--interval", "32", "--",
               "-m", "llama_cpp.server", "--model", str(model), "--n_ctx", "2048", "--n_batch", "128", "--n_threads",
               "1", "--port", str(port)]
    with open(tmp_path / "log", "w+") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            body = json.dumps({"prompt": LONG, "max_tokens": 200, "temperature": 0}).encode()
            request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/completions", body,
                                             {"Content-Type": "application/json"})
            for _ in range(300):
                try:
                    answer = json.load(urllib.request.urlopen(request, timeout=60))
                    break
                except OSError:
                    assert server.poll() is None, pathlib.Path(log.name).read_text()[-3000:]
                    time.sleep(0.1)
            assert answer["usage"]["completion_tokens"] == 200
        finally:
            server.terminate()
            server.wait(30)
    assert "in 256 rows each" in (tmp_path / "log").read_text()


def test_refusals(environment, script, model):
    code = script("")
    assert "budget" in run(environment, code, model, budget=8).stderr
    late = "import llama_cpp, vase.llama_cpp; vase.llama_cpp.bound(budget=256)"
    result = subprocess.run([sys.executable, "-c", late], capture_output=True, text=True, env=environment)
    assert "was imported before" in result.stderr.splitlines()[-1]
    unknown = "import vase.llama_cpp; vase.llama_cpp.bound(budget=256, colour=3)"
    result = subprocess.run([sys.executable, "-c", unknown], capture_output=True, text=True, env=environment)
    assert "--colour" in result.stderr.splitlines()[-1], result.stderr
    result = subprocess.run([sys.executable, "-m", "vase.llama_cpp", "--budget", "256"], capture_output=True, text=True,
                            env=environment)
    assert result.returncode == 1 and "no script given" in result.stderr
