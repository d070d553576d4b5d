"""What is decided anew at every optimizer step: the learning rate, the clip, the size of the batch, when to stop."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from r1ray.algorithms.gradient_clipping import NormHistory
from r1ray.algorithms.loss_trend import EarlyStopping, LossTrend
from r1ray.algorithms.noise_scale import NoiseScale, accumulation_for
from r1ray.config.optim import OptimConfig
from r1ray.config.sft import AccumulationConfig, ClippingConfig, LossTrendConfig
from r1ray.train.engine import learning_rate


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopConfig:
    """What a supervised loop needs of a job's configuration."""

    seed: int
    optim: OptimConfig
    batch: int = 16
    """Rows per optimizer step, over all ranks; 0 = by `batch_tokens`. Under adaptive accumulation neither counts."""
    batch_tokens: int = 0
    """Tokens per optimizer step, over all ranks; 0 = by `batch`."""
    epochs: int = 1
    max_steps: int = 0
    """Most optimizer steps; 0 = as many as the epochs take."""
    evaluate_every: int = 0
    """Optimizer steps between evaluations; 0 = only after the last."""
    patience: int = 0
    """Evaluations without improvement after which training stops; 0 = never."""
    min_improvement: float = 0.0
    clipping: ClippingConfig = field(default_factory=ClippingConfig)
    accumulation: AccumulationConfig = field(default_factory=AccumulationConfig)
    loss_trend: LossTrendConfig = field(default_factory=LossTrendConfig)
    ranks_a_row: int = 1
    """Ranks, one behind the other, that get the same rows: they share their tokens (Ulysses), or"""
    copies: int = 1
    """so many of them compute the same, with matrices that they share (tensor parallel)."""

    @property
    def adaptive(self) -> bool:
        """Whether the size of a batch follows the gradient noise."""
        return self.accumulation.kind == "adaptive"


class Controls:
    """The controllers of one run. Every rank holds the same, fed with figures that are the same on every rank."""

    def __init__(self, config: LoopConfig, total_steps: int) -> None:
        self._config, self._total = config, total_steps
        clipping, trend = config.clipping, config.loss_trend
        self._norms: NormHistory | None = None
        if clipping.kind == "history":
            self._norms = NormHistory(
                threshold=clipping.threshold,
                decay=clipping.decay,
                warmup=clipping.warmup,
                fallback=config.optim.max_grad_norm,
            )
        self._trend = LossTrend(window=trend.window, cut=trend.cut, floor=trend.floor) if trend.window else None
        self._noise = NoiseScale(config.accumulation.decay)
        self.microbatches = config.accumulation.low
        """Micro-batches of the next step, over all ranks, under adaptive accumulation."""
        self.stopping = EarlyStopping(patience=config.patience, min_improvement=config.min_improvement)

    def batch_size(self) -> dict[str, int]:
        """Size of the next batch, as `RowOrder.take` has it."""
        if self._config.adaptive:
            return {"tokens": self.microbatches * self._config.optim.tokens_per_microbatch}
        return {"rows": self._config.batch} if self._config.batch else {"tokens": self._config.batch_tokens}

    def rate(self, step: int, fraction: float) -> float:
        """Factor on every peak learning rate at optimizer step `step` (0-based), with `fraction` of the rows behind.

        The schedule goes by steps. Under adaptive accumulation nobody knows how many there will be: it goes by rows.
        """
        if self._config.adaptive and step >= self._config.optim.warmup:
            step = max(self._config.optim.warmup, round(fraction * self._total))
        factor = learning_rate(self._config.optim, min(step, self._total - 1), self._total)
        return factor * (self._trend.factor if self._trend is not None else 1.0)

    def bound(self, norm: float) -> float:
        """What this step's gradient norm is to be at most; call it once a step. 0 = not bounded."""
        return self._config.optim.max_grad_norm if self._norms is None else self._norms.target(norm)

    def observe_loss(self, loss: float) -> None:
        """Take in a step's loss."""
        if self._trend is not None:
            self._trend.update(loss)

    def observe_noise(self, small_square: float, big_square: float, small: float, big: float) -> None:
        """Take in mean squared norms of micro-batch gradients and of the whole step's, with their sizes."""
        if 0 < small < big:
            self._noise.update(small_square, big_square, small, big)
            limits = self._config.accumulation
            self.microbatches = accumulation_for(
                self._noise.value, small, low=limits.low, high=limits.high, now=self.microbatches
            )

    def figures(self) -> dict[str, float]:
        """Those that are worth a chart."""
        figures: dict[str, float] = {}
        if self._trend is not None:
            figures["optim/loss_trend_factor"] = self._trend.factor
        if self._config.adaptive:
            figures["optim/next_microbatches"] = float(self.microbatches)
            if self._noise.value is not None:
                figures["optim/noise_scale"] = self._noise.value
        return figures

    def state_dict(self) -> dict[str, Any]:
        """What the next decisions depend on; JSON-serialisable."""
        return {
            "norms": self._norms.state_dict() if self._norms is not None else None,
            "trend": self._trend.state_dict() if self._trend is not None else None,
            "noise": self._noise.state_dict(),
            "microbatches": self.microbatches,
            "stopping": self.stopping.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        if self._norms is not None and state["norms"] is not None:
            self._norms.load_state_dict(state["norms"])
        if self._trend is not None and state["trend"] is not None:
            self._trend.load_state_dict(state["trend"])
        self._noise.load_state_dict(state["noise"])
        self.microbatches = int(state["microbatches"])
        self.stopping.load_state_dict(state["stopping"])
