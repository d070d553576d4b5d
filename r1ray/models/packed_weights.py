"""Quantized matrices as a GGUF file holds them: codes of a few bits, and a scale and an offset for each group of 32.

A weight is `scale * code + offset`. Nothing is rounded on the way from the file: what an engine computes with are the
file's own numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFReader, dequantize

GROUP = 32
_LAYER = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTSIDE = {"token_embd": "model.embed_tokens", "output": "lm_head"}


@dataclass(frozen=True, slots=True)
class PackedMatrix:
    """A matrix (rows, columns) of which each run of 32 columns shares a scale and an offset."""

    codes: npt.NDArray[np.int8] | npt.NDArray[np.uint8]
    """(rows, columns / 32, 32), each within `bits`; uint8 where the codes have no sign."""
    scales: npt.NDArray[np.float32]
    """(rows, columns / 32, 1)"""
    offsets: npt.NDArray[np.float32] | None
    """Like `scales`, added to `scale * code`; None = zero."""
    bits: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, groups, size = self.codes.shape
        return rows, groups * size

    def dense(self) -> npt.NDArray[np.float32]:
        """The matrix that this stands for."""
        values = self.codes.astype(np.float32) * self.scales
        return (values if self.offsets is None else values + self.offsets).reshape(self.shape)


def read_packed(source: Path) -> dict[str, PackedMatrix | npt.NDArray[np.float32]]:
    """The matrices of a Llama-family GGUF file by their Hugging Face names.

    Types of 32 to a group (`Q4_0`, `Q4_1`, `Q8_0`) stay packed; any other is given as float32.
    """
    reader = GGUFReader(source)
    fields = {name: reader.fields[name].contents() for name in reader.fields if not name.startswith("tokenizer.")}
    architecture = fields["general.architecture"]
    heads = fields[f"{architecture}.attention.head_count"]
    kv_heads = fields.get(f"{architecture}.attention.head_count_kv", heads)
    found: dict[str, PackedMatrix | npt.NDArray[np.float32]] = {}
    for tensor in reader.tensors:
        name = _hugging_face_name(tensor.name)
        if name is None:
            continue
        data, kind = np.asarray(tensor.data), tensor.tensor_type
        if architecture == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            data = _unpermuted(data, heads if "q_proj" in name else kv_heads)
        unpack = _UNPACK.get(kind)
        found[name] = unpack(data) if unpack else dequantize(data, kind).astype(np.float32)
    return found


def pack_int8(matrix: npt.NDArray[np.float32]) -> PackedMatrix:
    """Eight bits a weight, symmetric, a scale for each 32: what `Q8_0` is."""
    groups = matrix.reshape(matrix.shape[0], -1, GROUP)
    scales = np.abs(groups).max(-1, keepdims=True) / 127
    codes = np.rint(np.divide(groups, scales, out=np.zeros_like(groups), where=scales > 0))
    return PackedMatrix(codes.astype(np.int8), scales.astype(np.float32), None, bits=8)


def _hugging_face_name(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] == "blk" and parts[-1] == "weight" and parts[2] in _LAYER:
        return f"model.layers.{parts[1]}.{_LAYER[parts[2]]}.weight"
    return f"{_OUTSIDE[parts[0]]}.weight" if parts[0] in _OUTSIDE else None


def _unpermuted(rows: npt.NDArray[np.generic], heads: int) -> npt.NDArray[np.generic]:
    """llama.cpp keeps the two halves of a rotary pair next to each other; Hugging Face keeps them half a head apart."""
    halves = rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)


def _halves(raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(raw).view(np.float16).astype(np.float32)


def _nibbles(raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Two codes a byte; the low halves come first."""
    return np.concatenate((raw & 15, raw >> 4), axis=-1)


def _q4_0(data: npt.NDArray[np.uint8]) -> PackedMatrix:
    blocks = data.reshape(data.shape[0], -1, 18)
    scales = _halves(blocks[..., :2])
    return PackedMatrix(_nibbles(blocks[..., 2:]), scales, -8 * scales, bits=4)


def _q4_1(data: npt.NDArray[np.uint8]) -> PackedMatrix:
    blocks = data.reshape(data.shape[0], -1, 20)
    return PackedMatrix(_nibbles(blocks[..., 4:]), _halves(blocks[..., :2]), _halves(blocks[..., 2:4]), bits=4)


def _q8_0(data: npt.NDArray[np.uint8]) -> PackedMatrix:
    blocks = data.reshape(data.shape[0], -1, 34)
    return PackedMatrix(np.ascontiguousarray(blocks[..., 2:]).view(np.int8), _halves(blocks[..., :2]), None, bits=8)


_UNPACK: dict[GGMLQuantizationType, Callable[[npt.NDArray[np.uint8]], PackedMatrix]] = {
    GGMLQuantizationType.Q4_0: _q4_0,
    GGMLQuantizationType.Q4_1: _q4_1,
    GGMLQuantizationType.Q8_0: _q8_0,
}
