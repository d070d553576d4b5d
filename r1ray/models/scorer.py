"""The trained reward network: a trunk and a linear head, read at chosen tokens of a packed batch."""

from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from r1ray.algorithms.packing import PackedBatch
from r1ray.config.policy import PolicyConfig
from r1ray.errors import ModelError
from r1ray.models.loading import add_lora, load_network, resolve_model
from r1ray.models.packed_attention import use_packed_attention
from r1ray.models.quiet import no_load_report
from r1ray.models.trunk import base_model, run_trunk

HEADS = ("score", "classifier")
"""Names under which transformers' classification models keep their head."""
Kind = Literal["process", "preference"]


class ScorerOutput(NamedTuple):
    """A tuple, because ZeRO-3 looks for a module's output tensors in tuples, lists and dictionaries only."""

    logits: Float[Tensor, "N C"]
    length_weight: Float[Tensor, "1"] | None = None
    """What a unit of length is worth beside the score (`algorithms.length_bias`); None where nobody learns it."""


class Scorer(nn.Module):
    """A Hugging Face token or sequence classifier, computed at the tokens that are asked for and nowhere else."""

    def __init__(self, model: nn.Module, *, length_term: bool = False) -> None:
        super().__init__()
        use_packed_attention(base_model(model))
        self.model = model
        self.length_weight = nn.Parameter(torch.zeros(1)) if length_term else None

    def forward(self, packed: PackedBatch, places: Int[Tensor, " N"]) -> ScorerOutput:
        """Logits, in float32, at N places of a packed row (`algorithms.packing.token_places`)."""
        base = base_model(self.model)
        hidden = run_trunk(base.base_model, packed).index_select(0, places)
        weight = None if self.length_weight is None else self.length_weight.float()
        return ScorerOutput(logits=score_head(base)(hidden).float(), length_weight=weight)


def score_head(model: nn.Module) -> nn.Linear:
    """The linear layer that turns hidden states into scores.

    Raises:
        ModelError: the model has none under a name that transformers uses.
    """
    for name in HEADS:
        head = getattr(model, name, None)
        if isinstance(head, nn.Linear):
            return head
    raise ModelError(
        f"{type(model).__name__} has no linear head named {' or '.join(HEADS)}. Choose a model whose classifier has "
        "one (llama, qwen, mistral, gemma, …)."
    )


def load_scorer(config: PolicyConfig, kind: Kind, classes: int, *, length_term: bool = False) -> Scorer:
    """A scorer that starts from the weights at `config.path`. A new head is zero: every step is as likely right as
    wrong, every answer as good as any.

    Raises:
        ModelError: there is no model at the path, or none that classifies.
    """
    folder = resolve_model(config.path)
    loader = AutoModelForTokenClassification if kind == "process" else AutoModelForSequenceClassification
    with no_load_report():
        model: Any = load_network(
            loader,
            folder,
            dtype=config.dtype,
            gradient_checkpointing=config.gradient_checkpointing,
            compiled=config.compile,
            num_labels=classes,
        )
    head = score_head(model)
    if not model.config.architectures or "Classification" not in model.config.architectures[0]:
        nn.init.zeros_(head.weight)
        if head.bias is not None:
            nn.init.zeros_(head.bias)
    adapted = add_lora(model, config.lora, task=None)
    score_head(base_model(adapted)).requires_grad_(True)  # adapters freeze everything else, and the head is new
    return Scorer(adapted, length_term=length_term)
