"""From single answers to pairs that the trial can compare."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from r1ray.serve.canary.trial import Pair

_WAITING = 10000
"""Shadowed requests whose other half has not come; the oldest is given up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one request under one version."""

    version: str
    request_id: str
    ok: bool
    """Whether the answer was good: no error, and whatever else the service can tell (verified, not filtered …)."""
    ttft_s: float = 0.0
    seconds: float = 0.0
    tokens: int = 0
    """New tokens."""
    logprobs: Sequence[float] | None = None
    """Of the stable version's tokens: under the version that sampled them, or (paired) under the canary."""
    paired_with: str | None = None
    """Request of the stable version that this one repeats in the shadow."""

    @property
    def pace(self) -> float:
        """What is compared as latency: seconds a token, or of the whole where there are none."""
        return self.seconds / max(1, self.tokens)


def kl_per_token(stable: Sequence[float], canary: Sequence[float]) -> float | None:
    """KL(stable ‖ canary) in nats a token, of tokens that the stable version sampled: the mean of r − 1 − log r with
    r = p_canary / p_stable, unbiased and never negative (Schulman, "Approximating KL divergence", estimator k3)."""
    if not stable or len(stable) != len(canary):
        return None
    ratios = [min(50.0, new - old) for old, new in zip(stable, canary, strict=True)]
    return sum(math.exp(log) - 1.0 - log for log in ratios) / len(ratios)


class Pairing:
    """Finds each outcome its counterpart.

    In the shadow it is the same request under the other version. In a split each answer of the canary is compared with
    the mean of the stable version's since the last one: no answer counts twice, and with equal versions the expected
    difference is 0.

    Args:
        stable, canary: names of the versions; outcomes of others are passed over.
    """

    def __init__(self, stable: str, canary: str) -> None:
        self.stable, self.canary = stable, canary
        self._waiting: OrderedDict[str, Outcome] = OrderedDict()
        self._good = self._count = 0
        self._latest: Outcome | None = None

    def add(self, outcome: Outcome) -> Pair | None:
        """The pair that this outcome completes."""
        if outcome.version not in (self.stable, self.canary):
            return None
        if outcome.paired_with is not None:
            return self._shadowed(outcome.paired_with, outcome)
        if outcome.version == self.stable:
            self._count, self._good, self._latest = self._count + 1, self._good + outcome.ok, outcome
            return None
        if self._latest is None:
            return None
        pair = Pair(
            stable_good=self._good / self._count,
            canary_good=float(outcome.ok),
            stable_s=self._latest.pace,
            canary_s=outcome.pace,
        )
        self._count = self._good = 0
        self._latest = None
        return pair

    def _shadowed(self, key: str, outcome: Outcome) -> Pair | None:
        other = self._waiting.pop(key, None)
        if other is None or other.version == outcome.version:
            self._waiting[key] = outcome
            while len(self._waiting) > _WAITING:
                self._waiting.popitem(last=False)
            return None
        old, new = (other, outcome) if outcome.version == self.canary else (outcome, other)
        known = old.logprobs is not None and new.logprobs is not None
        return Pair(
            stable_good=float(old.ok),
            canary_good=float(new.ok),
            stable_s=old.pace,
            canary_s=new.pace,
            kl=kl_per_token(old.logprobs or (), new.logprobs or ()) if known else None,
        )
