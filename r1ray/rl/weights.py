"""Versioned weights on their way from the learner to the engines: a few flat buffers instead of hundreds of tensors."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

Buffer = NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where one tensor lies: buffer, first element, shape."""

    dtype: str
    start: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FlatWeights:
    """All weights of one policy version, one buffer a dtype.

    The buffers are NumPy arrays because Ray maps those into a reader's memory without a copy. Tensors that share
    storage (a tied head and its embedding) are stored once and come back as one.
    """

    version: int
    buffers: dict[str, Buffer]
    slots: dict[str, _Slot]

    @classmethod
    def of(cls, weights: Mapping[str, Tensor], version: int) -> "FlatWeights":
        """Copy `weights` into fresh buffers."""
        slots: dict[str, _Slot] = {}
        seen: dict[Any, _Slot] = {}
        parts: dict[str, list[Tensor]] = {}
        lengths: dict[str, int] = {}
        for name, tensor in weights.items():
            key = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
            slot = seen.get(key)
            if slot is None:
                dtype = str(tensor.dtype).removeprefix("torch.")
                slot = seen[key] = _Slot(dtype, lengths.get(dtype, 0), tuple(tensor.shape))
                parts.setdefault(dtype, []).append(tensor)
                lengths[dtype] = slot.start + tensor.numel()
            slots[name] = slot
        return cls(version, {dtype: _flatten(tensors) for dtype, tensors in parts.items()}, slots)

    def tensors(self) -> dict[str, Tensor]:
        """Views into the buffers by name; read them, never write."""
        flat = {dtype: _as_tensor(buffer, dtype) for dtype, buffer in self.buffers.items()}
        return {
            name: flat[slot.dtype][slot.start : slot.start + math.prod(slot.shape)].view(slot.shape)
            for name, slot in self.slots.items()
        }

    @property
    def nbytes(self) -> int:
        """Bytes that travel."""
        return sum(buffer.nbytes for buffer in self.buffers.values())


def _flatten(tensors: list[Tensor]) -> Buffer:
    with torch.no_grad():
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors]).cpu()
    return flat.view(torch.int16).numpy() if flat.dtype == torch.bfloat16 else flat.numpy()  # NumPy has no bfloat16


def _as_tensor(buffer: Buffer, dtype: str) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Ray's memory is read-only, and torch would say so each time
        tensor = torch.from_numpy(buffer)
    return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor
