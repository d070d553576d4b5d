"""The loop's sentence, word for word: generate, score, update, publish, report."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from r1ray.config.ppo import PPOConfig
from r1ray.metrics.reductions import Last, Metric, reduce_all
from r1ray.rl.learner import Learner
from r1ray.rl.loop import Clock, ScoredBatch, ppo_loop
from r1ray.rl.weights import FlatWeights
from r1ray.types import Problem, Rollout, ScoredRollout
from tests.rl.helpers import PROBLEMS, job, make_learner, rollout_worker, sample, score


@dataclass
class World:
    """Everybody whom the loop talks to; it writes down what is asked."""

    stop_after: int = 100
    calls: list[str] = field(default_factory=list)
    version: int = 1
    loaded: int = 0
    reported: dict[int, dict[str, Metric]] = field(default_factory=dict)
    observed: list[tuple[list[str], list[float]]] = field(default_factory=list)

    # Sampler
    def batch(self, step: int) -> list[Problem]:
        self.calls.append(f"batch {step}")
        return [PROBLEMS[step % len(PROBLEMS)]]

    def observe(self, ids: Sequence[str], success_rates: Sequence[float]) -> None:
        self.calls.append("observe")
        self.observed.append((list(ids), list(success_rates)))

    # Rollouts
    def load(self, weights: FlatWeights | None) -> None:
        assert weights is not None
        self.loaded = weights.version
        self.calls.append(f"load v{weights.version}")

    def start(self, problems: Sequence[Problem], step: int) -> "Generation":
        self.calls.append(f"start {step} v{self.loaded}")
        return Generation(self, step)

    # Rewards
    def score(self, rollouts: list[Rollout]) -> ScoredBatch:
        self.calls.append("score")
        return ScoredBatch(share=[], success={"p0": 0.25, "p1": 1.0}, metrics={"reward/total": Last(0.5)})

    # Learner
    def update(self, rollouts: Sequence[ScoredRollout]) -> dict[str, Metric]:
        self.calls.append("update")
        self.version += 1
        return {"ppo/policy_loss": Last(0.1)}

    def publish(self) -> FlatWeights:
        self.calls.append("publish")
        return FlatWeights.of({"w": torch.zeros(1)}, self.version)

    def report(self, done: int, metrics: dict[str, Metric]) -> bool:
        self.calls.append(f"report {done}")
        self.reported[done] = metrics
        return done < self.stop_after

    def run(self, done: int = 0, **ppo: int) -> int:
        return ppo_loop(self, self, self, self, self.report, PPOConfig(**ppo), done)  # type: ignore[arg-type]


@dataclass
class Generation:
    """Rollouts under way."""

    world: World
    step: int

    def result(self) -> list[Rollout]:
        self.world.calls.append(f"generated {self.step}")
        return []


def test_generate_score_update_publish_report() -> None:
    world = World()
    assert world.run(steps=2) == 2
    assert world.calls == [
        *("publish", "load v1"),
        *("batch 0", "start 0 v1", "generated 0", "score", "observe", "update", "publish", "load v2", "report 1"),
        *("batch 1", "start 1 v2", "generated 1", "score", "observe", "update", "publish", "load v3", "report 2"),
    ]


def test_with_staleness_the_next_generation_starts_before_the_update() -> None:
    world = World()
    assert world.run(steps=3, max_staleness=1) == 3
    assert world.calls == [
        *("publish", "load v1"),
        *("batch 0", "start 0 v1", "generated 0", "score", "observe"),
        *("batch 1", "start 1 v1", "update", "publish", "load v2", "report 1"),
        *("generated 1", "score", "observe"),
        *("batch 2", "start 2 v2", "update", "publish", "load v3", "report 2"),
        *("generated 2", "score", "observe"),
        *("update", "publish", "load v4", "report 3"),
    ]


@pytest.mark.parametrize("staleness", [0, 1])
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_every_number_of_steps_ends(steps: int, staleness: int) -> None:
    world = World()
    assert world.run(steps=steps, max_staleness=staleness) == steps
    started = [call for call in world.calls if call.startswith("start")]
    assert len(started) == len(world.reported) == steps  # nothing is generated for nobody


@pytest.mark.parametrize("staleness", [0, 1])
def test_report_can_stop_the_loop(staleness: int) -> None:
    world = World(stop_after=2)
    assert world.run(steps=10, max_staleness=staleness) == 2
    assert world.calls[-1] == "report 2"


def test_a_resumed_loop_goes_on_with_the_step_that_is_next() -> None:
    world = World()
    assert world.run(done=3, steps=5) == 5
    assert [call for call in world.calls if call.startswith(("batch", "report"))] == [
        *("batch 3", "report 4", "batch 4", "report 5")
    ]


@pytest.mark.parametrize("done", [5, 6])
def test_a_finished_run_only_publishes(done: int) -> None:
    world = World()
    assert world.run(done=done, steps=5) == done
    assert world.calls == ["publish", "load v1"]


def test_success_rates_are_observed_and_figures_of_all_parts_reported() -> None:
    world = World()
    world.run(steps=1)
    assert world.observed == [(["p0", "p1"], [0.25, 1.0])]
    figures = reduce_all([world.reported[1]])
    assert figures["reward/total"] == 0.5
    assert figures["ppo/policy_loss"] == 0.1
    phases = ("generate", "score", "update", "publish")
    assert all(figures[f"time/{phase}"] >= 0 for phase in phases)
    assert figures["time/step"] >= sum(figures[f"time/{phase}"] for phase in phases)


def test_the_clock_has_every_phase_and_the_whole() -> None:
    clock = Clock()
    with clock("a"), clock("b"):
        pass
    metrics = clock.metrics()
    assert set(metrics) == {"time/a", "time/b", "time/step"}
    assert metrics["time/step"].value >= metrics["time/a"].value >= metrics["time/b"].value >= 0


class Engines(World):
    """The same, with a real worker and a real learner."""

    def __init__(self, path: Path, staleness: int) -> None:
        super().__init__()
        # Wide clipping of the gradient: what is tested is versions, not learning.
        config = job(path, algorithm="grpo", max_staleness=staleness)
        self.job = replace(config, optim=replace(config.optim, lr=0.01))
        self.worker = rollout_worker(config)
        self.learner: Learner = make_learner(self.job)[0]
        self.ages: list[int] = []

    def load(self, weights: FlatWeights | None) -> None:
        assert weights is not None
        self.loaded = self.worker.load_weights(weights)

    def start(self, problems: Sequence[Problem], step: int) -> "Sampled":  # type: ignore[override]
        return Sampled(sample(self.worker, self.job, step=step, version=self.loaded, problems=problems))

    def score(self, rollouts: list[Rollout]) -> ScoredBatch:
        version = rollouts[0].policy_version
        self.ages.append(self.learner.version - version)
        return ScoredBatch(share=score(rollouts, version=version), success={})

    def update(self, rollouts: Sequence[ScoredRollout]) -> dict[str, Metric]:
        return self.learner.update(rollouts)

    def publish(self) -> FlatWeights:
        weights = self.learner.publish()
        assert weights is not None
        return weights


class Sampled:
    """Rollouts that are there already."""

    def __init__(self, rollouts: list[Rollout]) -> None:
        self._rollouts = rollouts

    def result(self) -> list[Rollout]:
        return self._rollouts


@pytest.mark.parametrize(("staleness", "ages"), [(0, [0, 0, 0, 0]), (1, [0, 1, 1, 1])])
def test_real_rollouts_are_as_old_as_the_staleness_allows_and_no_older(
    staleness: int, ages: list[int], tiny_policy: Path
) -> None:
    world = Engines(tiny_policy, staleness)
    assert world.run(steps=4, max_staleness=staleness) == 4
    assert world.ages == ages
    assert world.learner.version == 5
    assert [metrics["rollout/staleness"].value for metrics in world.reported.values()] == ages
    if staleness == 0:  # engine and trainer stay together while the weights move
        assert all(metrics["rollout/logprob_gap_max"].value < 1e-3 for metrics in world.reported.values())
