"""What the decoder must know of a Llama-family model, and how its named weights become the decoder's fused layers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from r1ray.generation.linear import Linear
from r1ray.generation.named_weights import NamedShapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FAMILY = ("llama", "mistral", "qwen2", "qwen3")
STATIC_ROPE = ("default", "linear", "llama3", "yarn")
EMBEDDING, HEAD, FINAL_NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"


@dataclass(frozen=True, kw_only=True)
class LlamaSpec:
    """Sizes and options of a Llama-family model (Llama, SmolLM2, Mistral, Qwen2, Qwen3)."""

    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    activation: str
    norm_eps: float
    qk_norm: bool
    """Queries and keys are normalised per head (Qwen3)."""
    rope_frequencies: Tensor
    """(head_dim / 2,) radians per position."""
    rope_scale: float
    """Factor on cosine and sine (YaRN; 1 elsewhere)."""
    names: NamedShapes
    rounding: Mapping[str, Callable[[Tensor], Tensor]]
    """What is done to the inputs of a quantized model's linear layers, by the layers' names."""

    @staticmethod
    def of(model: "PreTrainedModel") -> "LlamaSpec | None":
        """The model's specification, or `None` where its architecture is not quite of this family."""
        config = model.config
        if config.model_type not in FAMILY or (config.model_type == "mistral" and config.sliding_window is not None):
            return None
        if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
            return None
        rotary = model.model.rotary_emb
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        if rotary.rope_type not in STATIC_ROPE or rotary.inv_freq.numel() * 2 != head_dim:
            return None
        names = NamedShapes.of(model)
        return LlamaSpec(
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_dim=head_dim,
            activation=config.hidden_act,
            norm_eps=config.rms_norm_eps,
            qk_norm="model.layers.0.self_attn.q_norm.weight" in names.shapes,
            rope_frequencies=rotary.inv_freq.detach().float().clone(),
            rope_scale=float(rotary.attention_scaling),
            names=names,
            rounding={
                name: module.input_rounding
                for name, module in model.named_modules()
                if hasattr(module, "input_rounding")
            },
        )


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer, its projections fused."""

    attention_norm: Tensor
    qkv: Linear
    qk_norm: Tensor | None
    """(heads + kv_heads, head_dim)"""
    out: Linear
    mlp_norm: Tensor
    gate_up: Linear
    down: Linear


@dataclass(frozen=True, slots=True)
class LlamaWeights:
    """All weights of the decoder, in its own layout."""

    embedding: Tensor
    layers: tuple[Layer, ...]
    norm: Tensor
    head: Linear

    @staticmethod
    def fuse(spec: LlamaSpec, named: Mapping[str, Tensor], dtype: torch.dtype, device: torch.device) -> "LlamaWeights":
        """Build from tensors by their Hugging Face names.

        Raises:
            ModelError: naming what is missing, unknown or misshapen.
        """
        spec.names.check(named)

        def get(name: str) -> Tensor:
            return named[name].detach().to(device=device, dtype=dtype)

        def own(
            name: str,
        ) -> Tensor:  # what is not fused into a new tensor is copied: the sender goes on training its own
            return get(name).clone()

        def linear(prefix: str, *projections: str) -> Linear:
            names = [f"{prefix}.{projection}" for projection in projections]
            weight = torch.cat([_interleave(spec, name, get(f"{name}.weight")) for name in names])
            biased = [name for name in names if f"{name}.bias" in spec.names.shapes]
            biases = [_interleave(spec, name, get(f"{name}.bias")) for name in biased]
            # Projections that are fused share their inputs, and so their rounding.
            return Linear(weight, torch.cat(biases) if biases else None, spec.rounding.get(names[0]))

        def layer(prefix: str) -> Layer:
            qk_norm = None
            if spec.qk_norm:
                q, k = (
                    _interleave(spec, f"{prefix}.self_attn.{n}_proj", get(f"{prefix}.self_attn.{n}_norm.weight"))
                    for n in "qk"
                )
                qk_norm = torch.cat((q.expand(spec.heads, -1), k.expand(spec.kv_heads, -1)))
            return Layer(
                attention_norm=own(f"{prefix}.input_layernorm.weight"),
                qkv=linear(f"{prefix}.self_attn", "q_proj", "k_proj", "v_proj"),
                qk_norm=qk_norm,
                out=linear(f"{prefix}.self_attn", "o_proj"),
                mlp_norm=own(f"{prefix}.post_attention_layernorm.weight"),
                gate_up=linear(f"{prefix}.mlp", "gate_proj", "up_proj"),
                down=linear(f"{prefix}.mlp", "down_proj"),
            )

        embedding = own(EMBEDDING)
        return LlamaWeights(
            embedding=embedding,
            layers=tuple(layer(f"model.layers.{i}") for i in range(spec.layers)),
            norm=own(FINAL_NORM),
            head=Linear(embedding if HEAD in spec.names.aliases else own(HEAD)),
        )


def _interleave(spec: LlamaSpec, name: str, tensor: Tensor) -> Tensor:
    """Reorder each head's outputs of `q_proj` and `k_proj` so that the two halves of a rotary pair are neighbours.

    RoPE pairs dimension i with i + head_dim/2; as neighbours they are one complex number, and the rotation one product.
    Scores are sums over a head's dimensions, so the same reordering of queries and keys changes none.
    """
    if not name.endswith(("q_proj", "k_proj")):
        return tensor
    order = torch.arange(spec.head_dim, device=tensor.device).view(2, -1).t().flatten()
    reordered: Tensor = tensor.unflatten(0, (-1, spec.head_dim))[:, order].flatten(0, 1)
    return reordered
