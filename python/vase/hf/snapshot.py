"""A cache as bytes: plain values and tensors, versioned, with a checksum.

Behind a head of fixed size lie a description in JSON and the tensors as safetensors has them: nothing in it is run when it is read.
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

import safetensors.torch
import torch

from vase.hf.tensors import lasting_tensors

_MAGIC = b"vasehf\0\0"
_VERSION = 1
_HEAD = struct.Struct("<8sI16sQ")  # magic, version, checksum of what follows, bytes of the description
_TENSOR, _DTYPE, _DEVICE, _MAP = "tensor", "dtype", "device", "map"


def pack(value: Any) -> bytes:
    """Bytes of dicts, lists, tensors, and what JSON and torch have of plain values. Raises TypeError for anything else."""
    tensors: dict[str, torch.Tensor] = {}
    description = json.dumps(_described(value, tensors)).encode()
    body = struct.pack("<Q", len(description)) + description + safetensors.torch.save(tensors)
    return _HEAD.pack(_MAGIC, _VERSION, _checksum(body), len(body)) + body


def unpack(data: bytes, device: torch.device | None) -> Any:
    """What pack() was given, tensors on the device that they were on, or on ``device``.

    Raises ValueError, in one line, if the bytes are damaged or of something else.
    """
    if len(data) < _HEAD.size or not data.startswith(_MAGIC):
        raise ValueError("these bytes are not a saved VaseCache")
    _, version, checksum, length = _HEAD.unpack_from(data)
    if version != _VERSION:
        raise ValueError(f"the saved VaseCache is of version {version}, and this is version {_VERSION}; save it anew")
    body = memoryview(data)[_HEAD.size :]
    if len(body) != length:
        raise ValueError(f"the saved VaseCache is cut off: it has {len(body)} bytes where it says {length}")
    if _checksum(body) != checksum:
        raise ValueError("the saved VaseCache is damaged: its checksum is wrong")
    (size,) = struct.unpack_from("<Q", body)
    tensors = safetensors.torch.load(bytes(body[8 + size :]))
    return _read(json.loads(bytes(body[8 : 8 + size])), tensors, device)


def checksum_of(tensor: torch.Tensor) -> str:
    """The same for tensors of the same bytes."""
    return _checksum(tensor.detach().cpu().contiguous().numpy().tobytes()).hex()


def _checksum(body: bytes | memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


def _described(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {_TENSOR: name, _DEVICE: str(value.device)}
    if isinstance(value, torch.dtype):
        return {_DTYPE: str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        return {_DEVICE: str(value)}
    if isinstance(value, dict):
        return {_MAP: [[_described(key, tensors), _described(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_described(item, tensors) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be saved")


@lasting_tensors()
def _read(value: Any, tensors: dict[str, torch.Tensor], device: torch.device | None) -> Any:
    if isinstance(value, list):
        return [_read(item, tensors, device) for item in value]
    if not isinstance(value, dict):
        return value
    if _MAP in value:
        return {_read(key, tensors, device): _read(item, tensors, device) for key, item in value[_MAP]}
    if _DTYPE in value:
        return getattr(torch, value[_DTYPE])
    there = torch.device(value[_DEVICE]) if device is None else device
    return tensors[value[_TENSOR]].to(there) if _TENSOR in value else there
