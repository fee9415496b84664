import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.fixture(autouse=True)
def quiet_and_repeatable():
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    torch.manual_seed(0)
