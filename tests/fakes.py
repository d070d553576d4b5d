"""Stand-ins small enough to read: the loop's workers in this process; and, for a training engine, the plain one."""

from collections.abc import Sequence

from r1ray.generation.engine import SamplingParams
from r1ray.rl.figures import batch_metrics, success_rates
from r1ray.rl.loop import ScoredBatch
from r1ray.rl.reward import RewardWorker
from r1ray.rl.rollout import RolloutRequest, RolloutWorker
from r1ray.rl.weights import FlatWeights
from r1ray.train.plain import TorchEngine
from r1ray.types import Problem, Rollout

__all__ = ["LocalRewards", "LocalRollouts", "Ready", "TorchEngine"]


class LocalRollouts:
    """`Rollouts` around one worker in this process."""

    def __init__(self, worker: RolloutWorker, params: SamplingParams, samples: int, seed: int = 0) -> None:
        self.worker, self.params, self.samples, self.seed, self.version = worker, params, samples, seed, 0

    def load(self, weights: FlatWeights | None) -> None:
        assert weights is not None
        self.version = self.worker.load_weights(weights)

    def start(self, problems: Sequence[Problem], step: int) -> "Ready":
        request = RolloutRequest(
            samples=self.samples, params=self.params, version=self.version, seed=self.seed, step=step
        )
        return Ready(self.worker.generate(problems, request))


class Ready:
    """Rollouts that are there already."""

    def __init__(self, rollouts: list[Rollout]) -> None:
        self._rollouts = rollouts

    def result(self) -> list[Rollout]:
        return self._rollouts


class LocalRewards:
    """`Rewards` around one worker in this process."""

    def __init__(self, worker: RewardWorker) -> None:
        self.worker = worker

    def score(self, rollouts: list[Rollout], step_weight: float | None = None) -> ScoredBatch:
        scored, counters = self.worker.score(rollouts, step_weight)
        return ScoredBatch(share=scored, success=success_rates(scored), metrics=batch_metrics(scored, counters))
