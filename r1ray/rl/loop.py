"""The PPO loop: generate, score, update, publish, report.

       sampler ──► rollouts.start ──► rewards.score ──► learner.update ──► learner.publish ──► rollouts.load
                    (engines)          (checkers)        (ZeRO ranks)       (flat, versioned)      │
                        ▲──────────────────────── new weights ────────────────────────────────────┘

Every rank of the learner group runs this loop; only rank 0's `rollouts` and `rewards` touch the workers, and `score`
hands each rank its share. Synchronous by default. With `ppo.max_staleness` 1 the next step's generation is started
before this step's update, so it is sampled by weights one version old; the learner corrects for it, and refuses
anything older.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from r1ray.config.ppo import PPOConfig
from r1ray.metrics.reductions import Last, Metric
from r1ray.rl.weights import FlatWeights
from r1ray.types import Problem, Rollout, ScoredRollout


class PendingRollouts(Protocol):
    """Generation under way."""

    def result(self) -> list[Rollout]:
        """Wait for the rollouts."""
        ...


class Rollouts(Protocol):
    """Whoever generates."""

    def load(self, weights: FlatWeights | None) -> None:
        """Take new weights before anything that is started from now on."""
        ...

    def start(self, problems: Sequence[Problem], step: int) -> PendingRollouts:
        """Begin the step's rollouts with the newest weights, and return at once."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredBatch:
    """A step's rollouts after scoring, as one rank sees them."""

    share: list[ScoredRollout]
    """What this rank learns from: whole groups."""
    success: dict[str, float]
    """Share of right answers for each problem of the whole batch."""
    metrics: dict[str, Metric] = field(default_factory=dict)
    """Figures of the whole batch (on rank 0; empty elsewhere)."""


class Rewards(Protocol):
    """Whoever scores."""

    def score(self, rollouts: list[Rollout], step_weight: float | None = None) -> ScoredBatch:
        """Score a step's rollouts and hand this rank its share; `step_weight` in place of the configured one."""
        ...


class Learner(Protocol):
    """Whoever learns."""

    def update(self, rollouts: Sequence[ScoredRollout]) -> dict[str, Metric]:
        """One step of learning."""
        ...

    def publish(self) -> FlatWeights | None:
        """The newest weights."""
        ...


class Sampler(Protocol):
    """Whoever chooses the problems."""

    def batch(self, step: int) -> list[Problem]:
        """The problems of one step."""
        ...

    def observe(self, ids: Sequence[str], success_rates: Sequence[float]) -> None:
        """Learn how hard they were."""
        ...


Report = Callable[[int, dict[str, Metric]], bool]
"""Called after every step with the number of steps done and the step's metrics; False ends the loop."""


def ppo_loop(
    sampler: Sampler,
    rollouts: Rollouts,
    rewards: Rewards,
    learner: Learner,
    report: Report,
    config: PPOConfig,
    done: int = 0,
) -> int:
    """Run PPO from step `done` to `config.steps`, or until `report` says stop; returns the number of steps done."""
    rollouts.load(learner.publish())
    ahead: PendingRollouts | None = None
    while done < config.steps:
        clock = Clock()
        with clock("generate"):
            pending = rollouts.start(sampler.batch(done), done) if ahead is None else ahead
            generated = pending.result()
        with clock("score"):
            scored = rewards.score(generated)
        sampler.observe(list(scored.success), list(scored.success.values()))
        overlaps = config.max_staleness > 0 and done + 1 < config.steps
        ahead = rollouts.start(sampler.batch(done + 1), done + 1) if overlaps else None
        with clock("update"):
            learned = learner.update(scored.share)
        with clock("publish"):
            rollouts.load(learner.publish())
        done += 1
        if not report(done, {**scored.metrics, **learned, **clock.metrics()}):
            break
    return done


class Clock:
    """Seconds of each phase of one step, and of the whole step."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Time a phase."""
        start = time.perf_counter()
        yield
        self._seconds[phase] = time.perf_counter() - start

    def metrics(self) -> dict[str, Metric]:
        """`time/<phase>` and `time/step`, in seconds."""
        seconds = {**self._seconds, "step": time.perf_counter() - self._start}
        return {f"time/{phase}": Last(passed) for phase, passed in seconds.items()}
