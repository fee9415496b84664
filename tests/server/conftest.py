import pytest

from vase_server import Server, write_model

# Small, so that evictions come soon.
CACHE = ("--budget", 128, "--recency", 32, "--interval", 32)
# Requests may choose any other policy.
VASE = ("--policy", "vase", "--window", 16)


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(scope="module")
def server(model):
    with Server(model, *VASE, *CACHE, "--parallel", 3, "--queue", 8) as running:
        yield running


@pytest.fixture
def start(model):
    """Starts a server of its own for a test."""
    running = []

    def start_server(*options, **more):
        policy = () if "--policy" in options else VASE
        running.append(Server(more.pop("model", model), *policy, *CACHE, *options, **more))
        return running[-1]

    yield start_server
    for each in running:
        each.stop()
