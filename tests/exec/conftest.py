import pathlib
import os

import pytest

import llama_programs
from llama_programs import Server

CACHE = pathlib.Path(os.environ.get("VASE_CACHE", pathlib.Path.home() / ".cache/vase"))


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A tiny random model whose tokens are single characters."""
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    llama_programs.subprocess.run([llama_programs.WRITE_MODEL, str(path), "chatml"], check=True, timeout=60)
    return path


@pytest.fixture(scope="session")
def long_model(model):
    """Arguments that make the tiny model take texts of any length."""
    return (model, "--override-kv", "llama.context_length=int:65536")


def real_model(name):
    path = CACHE / "models" / name
    if not path.exists():
        pytest.skip(f"{path} is not there: scripts/fetch-model.sh")
    return path


@pytest.fixture(scope="session")
def default_model():
    return real_model("SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture(scope="module")
def server(long_model):
    with Server(*long_model, "-c", 8192 * 4, "-np", 4) as running:
        yield running
