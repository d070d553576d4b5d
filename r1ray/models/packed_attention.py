"""Attention of a packed micro-batch: each block of segments asks its own keys and no others."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from r1ray.algorithms.packing import PackedBatch
from r1ray.errors import ModelError

NAME = "r1ray_packed"
"""Name under which transformers knows this attention."""


def use_packed_attention(model: nn.Module) -> None:
    """Let a Hugging Face model take a `packed` batch in its forward pass. Without one it computes what it did.

    Raises:
        ModelError: the model's attention cannot be replaced.
    """
    if not getattr(model, "_supports_attention_backend", False):
        raise ModelError(
            f"The attention of {type(model).__name__} cannot be replaced, and training needs that to share prompts "
            "and to leave padding out. Choose a model of transformers' newer kind (llama, qwen, mistral, gemma, …)."
        )
    model.set_attn_implementation(NAME)  # type: ignore[operator]


def packed_attention_forward(
    module: nn.Module,
    query: Float[Tensor, "1 heads L d"],
    key: Float[Tensor, "1 kv_heads L d"],
    value: Float[Tensor, "1 kv_heads L d"],
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    packed: PackedBatch | None = None,
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
    window = kwargs.get("sliding_window")
    flat_query, flat_key, flat_value = (x.squeeze(0).transpose(0, 1) for x in (query, key, value))  # (L, heads, d)
    (tokens, heads, size), kv_heads = flat_query.shape, flat_key.shape[1]
    results = []
    for block in packed.blocks:
        (count, width), seen = block.queries.shape, block.keys.shape[1]
        if window is not None and seen > window:
            raise ModelError(
                f"A rollout of up to {seen} tokens does not fit in this model's attention window of {window}. Set "
                "sampling.max_new_tokens so that it does."
            )
        q = _take(flat_query, block.queries).transpose(1, 2)
        k, v = (_take(x, block.keys).transpose(1, 2) for x in (flat_key, flat_value))
        mask: Tensor | None = block.mask
        folds, triangle = heads // kv_heads, block.causal and query.device.type == "cuda"
        if triangle:
            mask = None  # for the kernels that know the lower triangle by themselves
        elif query.device.type == "cpu" and folds > 1:
            # Query heads that share a key head become more queries of it: a third faster than copies of the keys.
            q, mask = q.reshape(count, kv_heads, folds * width, size), block.mask.repeat(1, 1, folds, 1)
        attended = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=dropout,
            is_causal=triangle,
            scale=scaling,
            enable_gqa=q.shape[1] != kv_heads,
        )
        results.append(attended.reshape(count, heads, width, size).transpose(1, 2).reshape(-1, heads * size))
    return torch.cat(results).index_select(0, packed.places).view(1, tokens, heads, size), None


def _take(x: Float[Tensor, "L h d"], positions: Tensor) -> Float[Tensor, "K T h d"]:
    return x.index_select(0, positions.flatten()).view(*positions.shape, *x.shape[1:])


AttentionInterface.register(NAME, packed_attention_forward)
AttentionMaskInterface.register(NAME, sdpa_mask)
