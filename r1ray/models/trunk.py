"""A language model without its head: token ids in, hidden states out, once for all who read them."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from r1ray.algorithms.packing import PackedBatch
from r1ray.errors import ModelError
from r1ray.models.packed_attention import Sealed


def base_model(model: nn.Module) -> Any:
    """The Hugging Face model itself, under peft's wrapper if there is one (adapters sit in its layers and stay)."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]


def find_trunk(model: nn.Module) -> nn.Module:
    """The decoder of a causal language model, or the model itself when it has no head."""
    base = base_model(model)
    trunk: nn.Module = base.get_decoder() if hasattr(base, "lm_head") else base
    return trunk


def find_head(model: nn.Module) -> nn.Linear:
    """The linear layer that turns hidden states into logits.

    Raises:
        ModelError: the model does something else on the way to its logits (a cap, a scale), which would be left out in
            silence when the head's weight alone is read.
    """
    base = base_model(model)
    head = base.get_output_embeddings()
    if head is None:
        raise ModelError(f"{type(base).__name__} has no language-model head: expected a causal language model.")
    for name, neutral in (
        ("final_logit_softcapping", None),
        ("logit_scale", 1.0),
        ("logits_scaling", 1.0),
        ("lm_head_multiplier", 1.0),
    ):
        value = getattr(base.config, name, neutral)
        if value is not None and value != neutral:
            raise ModelError(
                f"{type(base).__name__} transforms its logits ({name}={value}); r1ray computes them as hidden · headᵀ. "
                f"Choose a model without it (llama, qwen, mistral, smollm, …)."
            )
    linear: nn.Linear = head
    return linear


def run_trunk(trunk: nn.Module, packed: PackedBatch) -> Float[Tensor, "L H"]:
    """Hidden states of every token of a packed batch. The trunk must have been told to `use_packed_attention`."""
    output = trunk(
        input_ids=packed.input_ids.unsqueeze(0),
        position_ids=packed.position_ids.unsqueeze(0),
        # Of four axes, so that transformers takes it for a finished mask and builds none over all L · L pairs.
        attention_mask=packed.input_ids.new_ones(1, 1, 1, 1, dtype=torch.bool),
        use_cache=False,
        packed=Sealed(packed),
    )
    hidden: Tensor = output.last_hidden_state
    return hidden.squeeze(0)
