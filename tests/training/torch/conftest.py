import os
import sys
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported
os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is made
sys.path.insert(0, str(Path(__file__).parents[2] / "server"))  # vase_server.py
torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture(autouse=True)
def repeatable():
    torch.set_num_threads(1)
    torch.manual_seed(0)
