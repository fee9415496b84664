"""Tensors that outlive a forward."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def lasting_tensors() -> Iterator[None]:
    """Tensors made within may be written to later, inside and outside of inference mode, and remember no gradients."""
    with torch.inference_mode(False), torch.no_grad():
        yield
