"""In an environment without torch the message says what to install."""

import importlib
import sys

import pytest


def test_hf_names_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    for name in [name for name in sys.modules if name.startswith("vase.hf")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"vase.hf needs torch and transformers 5.4 or later.*\[hf\]"):
        importlib.import_module("vase.hf")
