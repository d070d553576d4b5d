"""Augmentation and mixing that follow the model in training: pure functions of what was observed.

`TrainingSignal` is what training reports to. It knows no Ray; where several processes feed it, it is made an actor in
the module that wires them: `ray.remote(num_cpus=0)(TrainingSignal).options(name="signal").remote(config, buckets)`.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from r1ray.config.augment import AdaptiveConfig
from r1ray.data.sampler import FLOOR, MEMORY, UNKNOWN_RATE
from r1ray.errors import CheckpointError, DataError


def probability(loss: float | None, config: AdaptiveConfig) -> float:
    """Probability of augmenting at this smoothed loss; `base` before anything was observed. Never more than 1."""
    factor = 1.0
    if loss is not None and loss > config.high:
        factor = config.raised
    elif loss is not None and loss < config.low:
        factor = config.lowered
    return min(1.0, config.base * factor)


def smoothed(before: float | None, loss: float, decay: float) -> float:
    """Exponential moving average; the first observation is its own average."""
    return loss if before is None else decay * before + (1 - decay) * loss


def difficulty_shares(sizes: Mapping[str, int], rates: Mapping[str, float]) -> dict[str, float]:
    """Share of each bucket in the next examples: its size times p(1-p) + floor, as `data.sampler` draws problems.

    Args:
        sizes: examples in each bucket.
        rates: how often each bucket's problems are solved, 0 to 1; a missing one is unknown, and counts as one half.
    """
    weights = {
        bucket: size * (rate * (1 - rate) + FLOOR)
        for bucket, size in sizes.items()
        for rate in [rates.get(bucket, UNKNOWN_RATE)]
    }
    total = math.fsum(weights.values())
    if not total > 0:
        raise DataError(f"There is nothing to mix: the buckets are {dict(sizes)}.")
    return {bucket: weight / total for bucket, weight in weights.items()}


def rate_of_loss(loss: float) -> float:
    """Probability that the model gives to a token of the reference, on geometric average: a success rate for
    supervised training, which grades no answers."""
    return math.exp(-max(0.0, loss))


class TrainingSignal:
    """What the model's training says about its data: smoothed loss, and success rate of each bucket.

    Args:
        config: thresholds and factors.
        sizes: examples in each bucket (`story/3`, `gsm8k`), for the mixing; empty = none is asked for.
    """

    def __init__(self, config: AdaptiveConfig, sizes: Mapping[str, int] | None = None) -> None:
        self._config = config
        self._sizes = dict(sizes or {})
        self._loss: float | None = None
        self._rates: dict[str, float] = {}
        self._observations = 0

    def observe(self, loss: float, bucket_losses: Mapping[str, float] | None = None) -> float:
        """Take in one step's training loss (nats a token), and perhaps that of each bucket. A loss that is not a number
        is passed over.

        Returns:
            The probability of augmenting from now on.
        """
        if math.isfinite(loss):
            self._loss = smoothed(self._loss, loss, self._config.decay)
            self._observations += 1
        losses = {bucket: value for bucket, value in (bucket_losses or {}).items() if math.isfinite(value)}
        self.observe_rates(list(losses), [rate_of_loss(value) for value in losses.values()])
        return self.probability()

    def observe_rates(self, buckets: Sequence[str], rates: Sequence[float]) -> None:
        """Take in how often problems of these buckets were solved, one entry a problem, as reinforcement measures it.

        Raises:
            DataError: a bucket is unknown.
        """
        grouped: dict[str, list[float]] = defaultdict(list)
        for bucket, rate in zip(buckets, rates, strict=True):
            if bucket not in self._sizes:
                raise DataError(f"Bucket {bucket!r} is none of {', '.join(self._sizes) or 'none'}.")
            grouped[bucket].append(rate)
        for bucket, found in grouped.items():
            keep = MEMORY ** len(found)
            before = self._rates.get(bucket, UNKNOWN_RATE)
            self._rates[bucket] = keep * before + (1 - keep) * math.fsum(found) / len(found)

    def probability(self) -> float:
        """Of augmenting a row, for `AugmentConfig.probability`."""
        return probability(self._loss, self._config)

    def strength(self) -> float:
        """The same as a factor on probabilities that operators name themselves, for `Augmenter.rows`."""
        return self.probability() / self._config.base if self._config.base else 0.0

    def shares(self) -> dict[str, float]:
        """Of each bucket in the next examples."""
        return difficulty_shares(self._sizes, self._rates)

    def figures(self) -> dict[str, float]:
        """For the log."""
        loss = math.nan if self._loss is None else self._loss
        shares = {f"augment/share/{bucket}": share for bucket, share in self.shares().items()} if self._sizes else {}
        return {"augment/loss": loss, "augment/probability": self.probability(), **shares}

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, JSON-serialisable."""
        return {
            "loss": self._loss,
            "rates": dict(self._rates),
            "observations": self._observations,
            "sizes": dict(self._sizes),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken.

        Raises:
            CheckpointError: it is of other buckets.
        """
        if state["sizes"] != self._sizes:
            raise CheckpointError(
                f"The checkpoint's signal was of the buckets {state['sizes']}; this run's are {self._sizes}. Resume "
                "with the same data, or start anew."
            )
        self._loss, self._rates = state["loss"], dict(state["rates"])
        self._observations = state["observations"]
