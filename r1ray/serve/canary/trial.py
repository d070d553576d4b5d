"""Promote, roll back or go on: three figures of paired requests, each with a test that may be looked at at any time.

A canary is promoted once it is shown to be good enough in *every* figure; the probability of promoting one that is not
is `alpha` at most, since the figure in which it fails must err. It is rolled back once it is shown to be too bad in
*one*; each has its share of `beta`, so that the probability of rolling back one that is bad in none is `beta` at most.
"""

from dataclasses import dataclass
from typing import Literal

from r1ray.config.serve_parts import CanaryConfig
from r1ray.serve.canary.betting import TwoSided

Decision = Literal["undecided", "promote", "roll_back"]
KL_CAP = 4.0
"""Nats a token beyond which a response's distance counts as this much: a mean needs bounds to be tested."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two requests that can be compared: the same one under both versions (shadow), or one of each share (split)."""

    stable_good: float
    """In [0, 1]: whether the stable version's answer was good; a mean of several where a pair holds several."""
    canary_good: float
    stable_s: float
    """Seconds."""
    canary_s: float
    kl: float | None = None
    """Nats a token that the canary is away from the stable version on this answer; `None` = not known."""


class Trial:
    """The books on one canary."""

    def __init__(self, config: CanaryConfig) -> None:
        self._config = config
        names = ["quality", "latency", *(["kl"] if config.mode == "shadow" and config.kl_limit > 0 else [])]
        alpha, beta = config.alpha, config.beta / len(names)
        self._tests = {
            "quality": TwoSided(-1.0, 1.0, good=-config.quality_margin, bad=0.0, alpha=alpha, beta=beta),
            # Share of pairs in which the canary is quick enough; more than half = its median is.
            "latency": TwoSided(0.0, 1.0, good=0.5, bad=0.5, alpha=alpha, beta=beta),
            "kl": TwoSided(-KL_CAP, 0.0, good=-config.kl_limit, bad=-config.kl_limit, alpha=alpha, beta=beta),
        }
        self._tests = {name: self._tests[name] for name in names}
        self._decision: Decision = "undecided"
        self.pairs = 0

    def add(self, pair: Pair) -> None:
        """Book a pair. Once there is a decision, it stands."""
        self.pairs += 1
        self._tests["quality"].add(pair.canary_good - pair.stable_good)
        self._tests["latency"].add(float(pair.canary_s <= self._config.latency_ratio * pair.stable_s))
        if pair.kl is not None and "kl" in self._tests:
            self._tests["kl"].add(-min(KL_CAP, max(0.0, pair.kl)))
        if self._decision == "undecided":
            self._decision = self._decide()

    @property
    def decision(self) -> Decision:
        """What the pairs say."""
        return self._decision

    @property
    def reasons(self) -> dict[str, str]:
        """Of each figure: `good`, `bad` or `open`."""
        return {
            name: "bad" if test.condemns else "good" if test.promotes else "open" for name, test in self._tests.items()
        }

    def _decide(self) -> Decision:
        if self.pairs < self._config.minimum:
            return "undecided"
        if any(test.condemns for test in self._tests.values()):
            return "roll_back"
        if all(test.promotes for test in self._tests.values()):
            return "promote"
        return "roll_back" if self._config.maximum and self.pairs >= self._config.maximum else "undecided"
