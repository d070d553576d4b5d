"""A Llama-family network as an OpenVINO graph over paged keys and values, from packed or plain weights.

Built here and not read by OpenVINO GenAI: its reader rounds the offsets of `Q4_1` groups to whole codes, which changes
the model (docs/serving.md), and its pipeline keeps the logits to itself.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from r1ray.generation.llama_weights import EMBEDDING, FINAL_NORM, HEAD, LlamaSpec
from r1ray.models.packed_weights import PackedMatrix

with contextlib.suppress(ImportError):  # an extra; the factory asks for it before it comes here
    import openvino as ov
    from openvino import opset13 as ops
    from openvino._pyopenvino.op import _PagedAttentionExtension

Matrix = PackedMatrix | npt.NDArray[np.float32]

INPUTS = ("past_lens", "subsequence_begins", "block_indices", "block_indices_begins")
"""Where each sequence's tokens, keys and values are: as OpenVINO's paged attention has them."""


def build_graph(spec: LlamaSpec, matrices: Mapping[str, Matrix], vectors: Mapping[str, npt.NDArray[np.float32]]) -> Any:
    """An `openvino.Model` from token ids to the logits of `output_indices`.

    Args:
        spec: sizes and options.
        matrices: weights of two dimensions by their Hugging Face names.
        vectors: norms and biases by theirs.
    """
    tokens = _input("input_ids", np.int64, [-1])
    positions = _input("position_ids", np.int64, [-1])
    outputs = _input("output_indices", np.int64, [-1])
    paging = {name: _input(name, np.int32, [-1]) for name in INPUTS}
    longest = _input("max_context_len", np.int32, [])
    caches: list[Any] = []

    embedding = _weight(matrices[EMBEDDING])
    hidden = ops.unsqueeze(ops.gather(embedding, ops.convert(tokens, np.int32), np.int32(0)), np.int64(1))
    cosine, sine = _rotation(spec, positions)

    def linear(x: Any, name: str) -> Any:
        product = ops.matmul(x, _weight(matrices[f"{name}.weight"]), False, True)
        bias = vectors.get(f"{name}.bias")
        return product if bias is None else ops.add(product, bias[None, None])

    def heads(x: Any, name: str, count: int, norm: str) -> Any:
        x = ops.reshape(linear(x, name), np.array([0, 0, count, spec.head_dim]), True)
        if spec.qk_norm and norm:
            x = _norm(x, vectors[norm], spec.norm_eps)
        return ops.transpose(x, np.array([0, 2, 1, 3]))

    def flat(x: Any) -> Any:
        return ops.reshape(ops.transpose(x, np.array([0, 2, 1, 3])), np.array([0, -1]), True)

    for index in range(spec.layers):
        layer = f"model.layers.{index}"
        x = _norm(hidden, vectors[f"{layer}.input_layernorm.weight"], spec.norm_eps)
        attention = f"{layer}.self_attn"
        query = heads(x, f"{attention}.q_proj", spec.heads, f"{attention}.q_norm.weight")
        key = heads(x, f"{attention}.k_proj", spec.kv_heads, f"{attention}.k_norm.weight")
        value = heads(x, f"{attention}.v_proj", spec.kv_heads, "")
        query, key = _rotate(query, cosine, sine, spec.head_dim), _rotate(key, cosine, sine, spec.head_dim)
        stores = [_cache(f"{kind}_cache.{index}") for kind in ("key", "value")]
        caches += stores
        attended = _PagedAttentionExtension(
            [
                node.output(0)
                for node in (flat(query), flat(key), flat(value), *stores, *(paging[name] for name in INPUTS))
            ]
            + [node.output(0) for node in _attention_options(spec.head_dim, longest)]
        )
        sizes = attended.get_rt_info()  # the CPU plugin looks here for the layout of its pages
        for kind in "kv":
            sizes[f"{kind}_head_size"], sizes[f"num_{kind}_heads"] = spec.head_dim, spec.kv_heads
        attended = ops.unsqueeze(attended.output(0), np.int64(1))
        hidden = ops.add(hidden, linear(attended, f"{attention}.o_proj"))
        x = _norm(hidden, vectors[f"{layer}.post_attention_layernorm.weight"], spec.norm_eps)
        gate = _activation(spec.activation, linear(x, f"{layer}.mlp.gate_proj"))
        gated = ops.multiply(gate, linear(x, f"{layer}.mlp.up_proj"))
        hidden = ops.add(hidden, linear(gated, f"{layer}.mlp.down_proj"))

    wanted = ops.gather(hidden, outputs, np.int64(0))  # before the head, which is a fifth of all work
    wanted = _norm(wanted, vectors[FINAL_NORM], spec.norm_eps)
    head = embedding if HEAD in spec.names.aliases else _weight(matrices[HEAD])
    logits = ops.matmul(wanted, head, False, True)
    inputs = [tokens, positions, outputs, *paging.values(), longest, *caches]
    return ov.Model([ops.result(logits)], inputs, "r1ray")


def _input(name: str, dtype: Any, shape: list[int]) -> Any:
    node = ops.parameter(shape, dtype, name=name)
    node.output(0).get_tensor().set_names({name})
    return node


def _cache(name: str) -> Any:
    node = ops.parameter(ov.PartialShape([-1, -1, -1, -1]), ov.Type.dynamic, name=name)
    node.output(0).get_tensor().set_names({name})
    return node


def _weight(matrix: Matrix) -> Any:
    """The matrix as a float32 node; OpenVINO keeps what is packed packed, and unpacks it inside the product."""
    if not isinstance(matrix, PackedMatrix):
        return ops.constant(np.ascontiguousarray(matrix, dtype=np.float32))
    codes = _four_bits(matrix.codes) if matrix.bits == 4 else ops.constant(np.ascontiguousarray(matrix.codes))
    values = ops.convert(codes, np.float32)
    if matrix.offsets is not None:  # scale * code + offset = scale * (code - zero)
        zeros = np.divide(-matrix.offsets, matrix.scales, out=np.zeros_like(matrix.scales), where=matrix.scales != 0)
        values = ops.subtract(values, zeros)
    return ops.reshape(ops.multiply(values, matrix.scales), np.array(matrix.shape), False)


def _four_bits(codes: npt.NDArray[Any]) -> Any:
    flat = codes.reshape(-1).astype(np.uint8)
    tensor = ov.Tensor(ov.Type.u4, ov.Shape(codes.shape))  # owns its memory: one made of an array only borrows it
    tensor.data.reshape(-1)[:] = flat[0::2] | (flat[1::2] << 4)
    return ops.constant(tensor)


def _norm(x: Any, weight: npt.NDArray[np.float32], eps: float) -> Any:
    """RMS norm over the last axis, in the form that OpenVINO fuses."""
    power = ops.power(x, np.float32(2.0))
    scale = ops.sqrt(ops.add(ops.reduce_mean(power, np.array([-1]), True), np.float32(eps)))
    return ops.multiply(ops.multiply(ops.divide(np.float32(1.0), scale), x), weight)


def _rotation(spec: LlamaSpec, positions: Any) -> tuple[Any, Any]:
    """Cosine and sine (T, 1, 1, head_dim) of each token's position."""
    frequencies = spec.rope_frequencies.numpy().astype(np.float32)[None, None]
    angles = ops.matmul(
        ops.reshape(ops.convert(positions, np.float32), np.array([-1, 1, 1]), False), frequencies, False, False
    )
    doubled = ops.concat([angles, angles], -1)
    pair = [ops.unsqueeze(function(doubled), np.int64(1)) for function in (ops.cos, ops.sin)]
    if spec.rope_scale != 1.0:
        pair = [ops.multiply(one, np.float32(spec.rope_scale)) for one in pair]
    return pair[0], pair[1]


def _rotate(x: Any, cosine: Any, sine: Any, size: int) -> Any:
    def part(start: int, stop: int) -> Any:
        return ops.slice(x, np.array([start]), np.array([stop]), np.array([1]), np.array([3]))

    turned = ops.concat([ops.multiply(part(size // 2, size), np.float32(-1.0)), part(0, size // 2)], -1)
    return ops.add(ops.multiply(x, cosine), ops.multiply(turned, sine))


def _activation(name: str, x: Any) -> Any:
    return ops.swish(x) if name == "silu" else ops.gelu(x, "tanh" if "tanh" in name else "erf")


def _attention_options(head_dim: int, longest: Any) -> list[Any]:
    """What OpenVINO's paged attention (of 2026.4) takes behind the pages: all off but the scale."""

    def none(dtype: Any, rank: int = 1) -> Any:
        return ops.constant(np.zeros([0] * rank, dtype=dtype))

    def zero() -> Any:
        return ops.constant(np.int32(0))

    i, f = np.int32, np.float32
    scale = ops.constant(np.float32(head_dim**-0.5))
    return [
        *(scale, zero(), none(f), longest, none(i), none(i), none(i), none(f), none(f)),
        *(zero(), zero(), none(f, 4), zero(), none(i), none(i), none(i), none(i), none(np.uint8), none(i)),
    ]
