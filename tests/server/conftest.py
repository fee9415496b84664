import pytest

from vase_server import Server, write_model

# Small, so that evictions come soon.
CACHE = ("--budget", 128, "--recency", 32, "--interval", 32, "--window", 16)


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(scope="module")
def server(model):
    with Server(model, *CACHE, "--parallel", 3, "--queue", 8) as running:
        yield running


@pytest.fixture
def start(model):
    """Starts a server of its own for a test."""
    running = []

    def start_server(*options, **more):
        running.append(Server(more.pop("model", model), *CACHE, *options, **more))
        return running[-1]

    yield start_server
    for each in running:
        each.stop()
