"""How keys were rotated for their positions (RoPE, arXiv 2104.09864)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from vase import frameworks


@dataclass(frozen=True, eq=False)
class Rope:
    """How keys were rotated: pair i of the row that stands for token p was turned by the angle p * frequencies[i].

    Policies whose ``vase.parameters()`` say ``uses_rope`` compare keys as they were before. Elements behind the last pair were not rotated.

    Raises:
        TypeError, ValueError: a field does not fit; the message names it. Whether the pairs fit into the keys turns out where
            they meet.
    """

    frequencies: Any
    """[pairs] floats, a numpy array or a torch tensor: radians a token, the ``inv_freq`` of transformers. On the device of the
    keys."""
    stride: int
    """1: pair i is elements (2 i, 2 i + 1), as in llama.cpp's NORM layout. n: elements (i, i + n), as Hugging Face's
    ``rotate_half`` has them, where n is the number of pairs."""

    def __post_init__(self) -> None:
        numbers = self.frequencies
        if not isinstance(numbers, np.ndarray) and not frameworks.is_torch(numbers):
            raise TypeError(f"rope.frequencies is a {type(numbers).__name__}; it must be a numpy array or a torch tensor")
        if not (numbers.is_floating_point() if frameworks.is_torch(numbers) else numbers.dtype.kind == "f"):
            raise TypeError(f"rope.frequencies is {numbers.dtype}; it must hold floats")
        if numbers.ndim != 1 or len(numbers) == 0:
            raise ValueError(f"rope.frequencies has the shape {list(numbers.shape)}; it must be [pairs], at least one")
        largest = float(abs(numbers).max())
        if not largest <= 2 * math.pi:  # nor NaN
            raise ValueError(
                f"rope.frequencies go up to {largest:g}; they are radians a token, so at most 2 pi (wavelengths L are 2 pi / L)"
            )
        if not isinstance(self.stride, int) or isinstance(self.stride, bool):
            raise TypeError(f"rope.stride is {self.stride!r}; it must be an int")
        if self.stride != 1 and not len(numbers) <= self.stride < 2**31:
            raise ValueError(
                f"rope.stride is {self.stride}; it must be 1 (neighbours), or at least {len(numbers)}, the number of pairs"
            )


def dense_rope(rope: Rope | None) -> tuple[Any, int] | None:
    """``rope`` as the extension module takes it. Raises TypeError if it is something else."""
    if rope is None:
        return None
    if not isinstance(rope, Rope):
        raise TypeError(f"rope is a {type(rope).__name__}; it must be a vase.Rope, or None")
    return frameworks.dense("rope.frequencies", rope.frequencies, "float32"), rope.stride
