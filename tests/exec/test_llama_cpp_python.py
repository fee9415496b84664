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


def test_states_across_evictions(environment, script, model, tmp_path):
    """Saved when rows have gone, loaded when others have: by the same Llama, by another one, and in another process."""
    code = script("""
import pickle
text = model(LONG, max_tokens=200, temperature=0)["choices"][0]["text"]
state = model.save_state()
def go_on(llama):
    answer = llama(LONG + text, max_tokens=90, temperature=0)
    return answer["choices"][0]["text"], llama.n_tokens
first = go_on(model)
other = Llama(sys.argv[1], n_ctx=2048, n_batch=128, n_threads=1, verbose=False, seed=1)
other("Quite another text. " * 30, max_tokens=50)
for llama in (model, other):
    llama.load_state(state)
    assert llama.n_tokens == state.n_tokens
    assert go_on(llama) == first, llama
with open(sys.argv[2], "wb") as file:
    pickle.dump((state, text, first), file)
""")
    result = run(environment, code, model, tmp_path / "state")
    assert result.returncode == 0, result.stderr[-3000:]
    assert "2 taken back" in result.stderr
    code = script("""
import dataclasses, pickle
with open(sys.argv[2], "rb") as file:
    state, text, first = pickle.load(file)
damaged = bytearray(state.llama_state)
damaged[len(damaged) // 2] ^= 4
for what in (bytes(damaged), b"x" * len(damaged)):
    broken = pickle.loads(pickle.dumps(state))
    broken.llama_state = what
    try:
        model.load_state(broken)
    except RuntimeError as error:
        print("refused:", error)
model.reset()
try:
    model.load_state(state)
    answer = model(LONG + text, max_tokens=90, temperature=0)
    print((answer["choices"][0]["text"], model.n_tokens) == first)
except RuntimeError as error:
    print("refused:", error)
""")
    result = run(environment, code, model, tmp_path / "state")
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.count("refused:") == 2 and result.stdout.endswith("True\n"), result.stdout
    assert "is damaged" in result.stderr
    result = run(environment, code, model, tmp_path / "state", budget=128)  # where it does not fit
    assert result.stdout.count("refused:") == 3, result.stdout
    assert "does not fit into" in result.stderr, result.stderr[-2000:]


def test_after_a_refused_state_all_is_read_again(environment, script, model):
    """load_state sets its counts, and raises then: what llama-cpp-python believes to be there is not."""
    code = script("""
import pickle
def say(llama):
    return llama(LONG + "And then?", max_tokens=90, temperature=0)["choices"][0]["text"]
fresh = Llama(sys.argv[1], n_ctx=2048, n_batch=128, n_threads=1, verbose=False, seed=1)
first = say(fresh)
state = fresh.save_state()
def refused(what):
    broken = pickle.loads(pickle.dumps(state))
    broken.llama_state = what
    try:
        model.load_state(broken)
    except RuntimeError:
        return model.n_tokens == state.n_tokens
damaged = bytearray(state.llama_state)
damaged[-1] ^= 4
for what in (bytes(damaged), b"x" * len(damaged)):
    model("Quite another text. " * 60, max_tokens=50)
    assert refused(what)
    assert say(model) == first
    assert refused(what)
    model.load_state(state)
    assert say(model) == first
    assert refused(what)
    try:
        model.eval([5, 6])  # behind tokens that are not there
    except RuntimeError as error:
        print("not decoded:", error)
""")
    result = run(environment, code, model)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.count("not decoded:") == 2
    assert "2 taken back" in result.stderr


def test_states_of_a_sequence(environment, script, model, tmp_path):
    """llama_state_seq_*: the bounded sequence, to bytes and to a file."""
    code = script("""
import ctypes, llama_cpp
context = model._ctx.ctx
text = model(LONG, max_tokens=200, temperature=0)["choices"][0]["text"]
tokens = model.input_ids[: model.n_tokens].tolist()
size = llama_cpp.llama_state_seq_get_size(context, 0)
data = (ctypes.c_uint8 * size)()
assert llama_cpp.llama_state_seq_get_data(context, data, size, 0) == size
ids = (llama_cpp.llama_token * len(tokens))(*tokens)
assert llama_cpp.llama_state_seq_save_file(context, sys.argv[2].encode(), 0, ids, len(ids)) > size
def go_on():
    answer = model(LONG + text, max_tokens=60, temperature=0)
    return answer["choices"][0]["text"], model.n_tokens
n = model.n_tokens
first = go_on()
def back():
    model.n_tokens = n
    return go_on()
assert llama_cpp.llama_state_seq_set_data(context, data, size, 0) == size
assert back() == first
out, count = (llama_cpp.llama_token * 2048)(), ctypes.c_size_t()
assert llama_cpp.llama_state_seq_load_file(context, sys.argv[2].encode(), 0, out, 2048, ctypes.byref(count)) > size
assert out[: count.value] == tokens
assert back() == first
data[size // 2] ^= 4
assert llama_cpp.llama_state_seq_set_data(context, data, size, 0) == 0
with open(sys.argv[2], "rb") as file:
    saved = bytearray(file.read())
saved[-1] ^= 4
with open(sys.argv[2], "wb") as file:
    file.write(saved)
# What is refused leaves the caller's tokens and their number be.
out[0], count.value = 7, 77
for capacity in (5, 2048):  # too few; enough, but the file is damaged
    assert llama_cpp.llama_state_seq_load_file(context, sys.argv[2].encode(), 0, out, capacity, ctypes.byref(count)) == 0
    assert (out[0], count.value) == (7, 77)
print(size)
""")
    result = run(environment, code, model, tmp_path / "sequence")
    assert result.returncode == 0, result.stderr[-3000:]
    assert 0 < int(result.stdout) < 8 << 20
    assert "is damaged" in result.stderr


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
