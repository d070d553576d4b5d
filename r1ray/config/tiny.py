"""A transformer small enough to be trained from nothing in seconds, on arithmetic that is generated."""

from dataclasses import dataclass

from r1ray.config.base import require, require_range


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyConfig:
    """The task, the network, and how much of the task it sees."""

    largest: int = 99
    """Sums `a+b` of numbers from 0 to this."""
    heldout: int = 1000
    """Sums that are never trained on and measure accuracy; which ones follows from `run.seed`."""
    examples: int = 32_000
    """Sums seen in training, with repetition. The work is the same whatever the batch is."""
    batch: int = 32
    """Examples per optimizer step."""
    width: int = 64
    """Of the residual stream."""
    layers: int = 1
    """Transformer blocks."""
    heads: int = 4
    """Attention heads; must divide the width."""
    dropout: float = 0.0
    """Dropout of attention weights; 0 = off."""
    evaluations: int = 2
    """How often accuracy is measured, the last time at the end."""

    def __post_init__(self) -> None:
        require_range("tiny.largest", self.largest, 9)
        pairs = (self.largest + 1) ** 2
        require_range("tiny.heldout", self.heldout, 1, pairs // 2)
        for name in ("examples", "batch", "width", "layers", "heads", "evaluations"):
            require_range(f"tiny.{name}", getattr(self, name), 1)
        require(self.width % self.heads == 0, "tiny.heads", self.heads, f"a divisor of tiny.width ({self.width})")
        require_range("tiny.dropout", self.dropout, 0, 0.9)
