"""RoPE, written once more for the tests."""

import numpy as np


def rotated(keys, tokens, frequencies, stride):
    """keys [rows, ..., dim] turned for their tokens [rows], in double precision; stride as in vase.Rope."""
    angles = np.multiply.outer(tokens, frequencies.astype(np.float64))
    angles = angles.reshape(len(tokens), *[1] * (keys.ndim - 2), -1)
    first = np.arange(len(frequencies)) * (2 if stride == 1 else 1)
    a, b = keys[..., first].astype(np.float64), keys[..., first + stride].astype(np.float64)
    turned = keys.astype(np.float64)
    turned[..., first] = a * np.cos(angles) - b * np.sin(angles)
    turned[..., first + stride] = a * np.sin(angles) + b * np.cos(angles)
    return turned
