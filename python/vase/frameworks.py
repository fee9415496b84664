"""What numpy and torch call differently. torch is never imported here: its tensors bring it along."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def is_torch(array: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def is_cuda(array: Any) -> bool:
    return is_torch(array) and array.is_cuda


@contextmanager
def current_stream(array: Any) -> Iterator[int]:
    """The stream that torch works on now, on the device of ``array``, which is made the current one; 0 for host memory."""
    if not is_cuda(array):
        yield 0
        return
    cuda = sys.modules["torch"].cuda
    with cuda.device(array.device):
        yield cuda.current_stream().cuda_stream


def plain(array: Any) -> Any:
    """The array without its place in a computation graph, sharing its memory."""
    return array.detach() if is_torch(array) else array


def empty(like: Any, shape: tuple[int, int], dtype: str) -> Any:
    """An array of the framework and device of ``like``."""
    if not is_torch(like):
        return np.empty(shape, dtype=dtype)
    torch = sys.modules["torch"]
    return torch.empty(shape, dtype=getattr(torch, dtype), device=like.device)


def dense(name: str, array: Any, dtype: str) -> Any:
    """The array with elements of ``dtype`` in C order without gaps: itself if it is so already, else a copy."""
    if array is None:
        return None
    if is_torch(array):
        return array.detach().to(getattr(sys.modules["torch"], dtype)).contiguous()
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} is a {type(array).__name__}; it must be a numpy array or a torch tensor")
    if array.dtype.kind not in ("f" if dtype == "float32" else "iu"):
        raise TypeError(f"{name} is {array.dtype}; it must hold {'floats' if dtype == 'float32' else 'integers'}")
    return np.ascontiguousarray(array, dtype=dtype)
