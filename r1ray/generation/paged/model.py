"""What the batcher asks of a network: one pass over any mix of prompt pieces and single tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from r1ray.models.packed_weights import PackedMatrix


@dataclass(frozen=True, slots=True)
class Piece:
    """New tokens of one sequence: a stretch of its prompt, or the token chosen last."""

    tokens: Sequence[int]
    past: int
    """Tokens of the sequence whose keys and values are stored already."""
    pages: Sequence[int]
    """Where its keys and values lie, in order; there is room for the new ones."""
    outputs: Sequence[int]
    """Which of `tokens` want logits."""


class PagedModel(Protocol):
    """A causal language model whose keys and values lie in pages."""

    page_size: int
    pages: int
    vocabulary: int
    context_length: int

    def forward(self, pieces: Sequence[Piece]) -> Tensor:
        """Store the keys and values of every new token; float32 logits (outputs, V) in the order of the pieces.
        They may be overwritten by the next call."""
        ...

    def load_weights(self, weights: Mapping[str, Tensor | PackedMatrix]) -> None:
        """Take new weights by their Hugging Face names; tensors or packed."""
        ...
