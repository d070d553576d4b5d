"""How a model is examined on problems that it never trained on."""

from dataclasses import dataclass

from r1ray.config.base import require_range


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig:
    """Accuracy on held-out problems, greedy and pass@k."""

    problems: int = 400
    """Held-out problems in the evaluations before and after; 0 = no evaluation."""
    base: int = 100
    """How many of them the model is given as it came, before its cold start: enough to see what it can do."""
    every: int = 0
    """PPO steps between small evaluations during training; 0 = none."""
    during: int = 64
    """Held-out problems in each of them."""
    samples: int = 0
    """Samples per problem for pass@k (k = 1, 2, 4, … up to it) after training; 0 = greedy only."""
    temperature: float = 1.0
    """Of the pass@k samples."""
    max_new_tokens: int = 80
    """Longest answer."""

    def __post_init__(self) -> None:
        for name in ("problems", "base", "every", "during", "samples", "temperature"):
            require_range(f"evaluation.{name}", getattr(self, name), 0)
        require_range("evaluation.max_new_tokens", self.max_new_tokens, 1)
