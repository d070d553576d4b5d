"""Attention of a packed micro-batch: each block of segments asks its own keys and no others."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from r1ray.algorithms.packing import PackedBatch
from r1ray.errors import ModelError

NAME = "r1ray_packed"
"""Name under which transformers knows this attention."""
SHARED = "r1ray_packed_shared"
"""The same for tokens that several ranks share."""


class Sealed:
    """A packed batch on its way through the layers, which a compiler hands on without looking inside."""

    def __init__(self, packed: PackedBatch) -> None:
        self.packed = packed


def use_packed_attention(model: nn.Module, shared: Any = None) -> None:
    """Let a Hugging Face model take a `packed` batch in its forward pass. Without one it computes what it did.

    Args:
        model: its attention is replaced.
        shared: called in place of `packed_attention_forward`, which it calls once it has brought the tokens of several
            ranks together.

    Raises:
        ModelError: the model's attention cannot be replaced.
    """
    if not getattr(model, "_supports_attention_backend", False):
        raise ModelError(
            f"The attention of {type(model).__name__} cannot be replaced, and training needs that to share prompts "
            "and to leave padding out. Choose a model of transformers' newer kind (llama, qwen, mistral, gemma, …)."
        )
    if shared is not None:
        AttentionInterface.register(SHARED, shared)
    model.set_attn_implementation(NAME if shared is None else SHARED)  # type: ignore[operator]


@torch.compiler.disable  # type: ignore[untyped-decorator]
def packed_attention_forward(
    module: nn.Module,
    query: Float[Tensor, "1 heads L d"],
    key: Float[Tensor, "1 kv_heads L d"],
    value: Float[Tensor, "1 kv_heads L d"],
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    packed: Sealed | None = None,
    **kwargs: Any,
) -> tuple[Float[Tensor, "1 L heads d"], None]:
    """What transformers calls in every layer. Without a packed batch, its own scaled-dot-product attention.

    Raises:
        ModelError: the model attends through a window that is shorter than what a token should see.
    """
    if packed is None:
        output, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return output, None
    layout, window = packed.packed, kwargs.get("sliding_window")
    flat_query, flat_key, flat_value = (x.squeeze(0).transpose(0, 1) for x in (query, key, value))  # (L, heads, d)
    (tokens, heads, size), results = flat_query.shape, []
    for block in layout.blocks:
        if window is not None and block.keys.shape[1] > window:
            raise ModelError(
                f"A rollout of up to {block.keys.shape[1]} tokens does not fit in this model's attention window of "
                f"{window}. Set sampling.max_new_tokens so that it does."
            )
        start = None if block.mask is not None else block.start
        q = _take(flat_query, block.queries, block.start).transpose(1, 2)
        k, v = (_take(x, block.keys, start).transpose(1, 2) for x in (flat_key, flat_value))
        attended = _attend(q, k, v, block.mask, dropout, scaling)
        results.append(attended.transpose(1, 2).reshape(-1, heads * size))
    flat = results[0] if len(results) == 1 else torch.cat(results)
    ordered = flat[:tokens] if layout.in_order else flat.index_select(0, layout.places)
    return ordered.view(1, tokens, heads, size), None


def _attend(
    q: Float[Tensor, "K heads T d"],
    k: Float[Tensor, "K kv_heads S d"],
    v: Float[Tensor, "K kv_heads S d"],
    mask: Bool[Tensor, "K 1 T S"] | None,
    dropout: float,
    scaling: float | None,
) -> Float[Tensor, "K heads T d"]:
    """Attention of one block; without a mask, of the lower triangle."""
    (count, heads, width, size), kv_heads = q.shape, k.shape[1]
    on_cpu, folds = q.device.type == "cpu", heads // kv_heads
    if on_cpu and mask is None:
        mask = torch.ones(1, 1, width, width, dtype=torch.bool).tril()
    if on_cpu and folds > 1 and mask is not None:
        # Query heads that share a key head become more queries of it: a third faster than copies of the keys.
        q, mask = q.reshape(count, kv_heads, folds * width, size), mask.repeat(1, 1, folds, 1)
    attended = F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=mask,
        dropout_p=dropout,
        is_causal=mask is None,  # for the kernels that know the lower triangle by themselves
        scale=scaling,
        enable_gqa=q.shape[1] != kv_heads,
    )
    return attended.reshape(count, heads, width, size)


def _take(x: Float[Tensor, "L h d"], positions: Tensor, start: int | None) -> Float[Tensor, "K T h d"]:
    """Rows at (K, T) positions; without a copy where these are all that follow `start`."""
    if start is not None:
        return x.narrow(0, start, positions.numel()).view(*positions.shape, *x.shape[1:])
    return x.index_select(0, positions.flatten()).view(*positions.shape, *x.shape[1:])


AttentionInterface.register(NAME, packed_attention_forward)
AttentionMaskInterface.register(NAME, sdpa_mask)
AttentionMaskInterface.register(SHARED, sdpa_mask)
