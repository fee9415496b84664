"""What ``vase calibrate`` measured of a model's queries."""

from __future__ import annotations

import os
from typing import Any

import numpy as np


def read_calibration(path: str | os.PathLike[str]) -> list[np.ndarray]:
    """The calibration of each full-attention layer of a model, float32 [n_query_heads, 3, dim / 2], from a file of ``vase calibrate``, for
    policies whose ``vase.parameters()`` say ``needs_calibration``.

    Raises:
        ImportError: the package gguf is missing, which reads the file.
        ValueError, FileNotFoundError: the file is not such a one.
    """
    try:
        import gguf
    except ImportError as error:
        raise ImportError("reading a calibration needs the package gguf: pip install gguf") from error
    reader = gguf.GGUFReader(path)
    kind = reader.get_field("general.type")
    if kind is None or kind.contents() != "vase-calibration":
        raise ValueError(f"{path} is not a calibration; `vase calibrate -m MODEL -f TEXT -o FILE` makes one")
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    return [np.array(tensors[f"query.{layer}"], dtype=np.float32) for layer in range(len(tensors))]


def layers_of(calibration: Any, count: int) -> list[Any]:
    """``calibration`` as VaseCache takes it, a path or the arrays of ``count`` layers."""
    if isinstance(calibration, (str, os.PathLike)):
        calibration = read_calibration(calibration)
    layers = list(calibration)
    if len(layers) != count:
        raise ValueError(f"calibration is of {len(layers)} layers; the model has {count} full-attention layers")
    return layers
