"""A rank's whole run in this process: what it leaves behind, and that stopping anywhere changes nothing in the end."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from r1ray.config.evaluation import EvaluationConfig
from r1ray.config.jobs import PPOJobConfig
from r1ray.config.optim import OptimConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.ppo import PPOConfig, SamplingConfig
from r1ray.config.problems import ColdStartConfig, ProblemsConfig
from r1ray.config.run import RunConfig
from r1ray.data.problem_set import ProblemSet, build_problem_set
from r1ray.errors import CheckpointError
from r1ray.generation.engine import SamplingParams
from r1ray.generation.transformers_engine import TransformersEngine
from r1ray.models.loading import decoder, load_policy
from r1ray.reasoning.functions import UserFunction
from r1ray.reasoning.grading import Grader
from r1ray.rl.examine import EVALUATIONS, evaluations, summary
from r1ray.rl.reward import RewardWorker
from r1ray.rl.rollout import RolloutWorker
from r1ray.rl.session import COLD_START, Session, Workers
from r1ray.rl.weights import FlatWeights
from r1ray.runs import Run
from r1ray.types import Problem, Rollout
from tests.fakes import LocalRewards, LocalRollouts, Ready, TorchEngine


class Killed(Exception):
    """The process is gone."""


@dataclass
class Listener:
    """Writes down what it is told; may say stop, or die, at a given event."""

    stop_at: tuple[str, int] = ("", 0)
    die_at: tuple[str, int] = ("", 0)
    events: list[tuple[str, Any]] = field(default_factory=list)

    def post(self, kind: str, payload: Any = None) -> None:
        self.events.append((kind, payload))

    def ask(self, kind: str, payload: Any = None) -> bool:
        self.post(kind, payload)
        where = (kind, payload[0] if kind == "step" else 0)
        if where == self.die_at:
            raise Killed
        return where == self.stop_at

    def payloads(self, kind: str) -> list[Any]:
        return [payload for name, payload in self.events if name == kind]

    def steps(self) -> dict[int, dict[str, float]]:
        """Figures of every step, without those that a clock gave."""
        return {
            step: {key: value for key, value in values.items() if not key.startswith(("time/", "throughput/"))}
            for step, values in self.payloads("step")
        }


class Rollouts(LocalRollouts):
    """Remembers the newest weights and the problems that were asked for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.newest: FlatWeights | None = None
        self.problems: list[Problem] = []

    def load(self, weights: FlatWeights | None) -> None:
        super().load(weights)
        self.newest = weights

    def start(self, problems: Sequence[Problem], step: int) -> Ready:
        self.problems += problems
        return super().start(problems, step)


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader() as one:
        yield one


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, tiny_policy: Path) -> PPOJobConfig:
    """Four steps with a checkpoint after every second one."""
    return PPOJobConfig(
        run=RunConfig(storage=str(tmp_path_factory.mktemp("runs")), checkpoint_every=2, keep_checkpoints=3),
        policy=PolicyConfig(path=str(tiny_policy)),
        problems=ProblemsConfig(families=("chain:1-2",), count=40, heldout=6),
        cold_start=ColdStartConfig(examples=8, families=("chain:1/plain",), batch=4),
        sampling=SamplingConfig(max_new_tokens=8),
        ppo=PPOConfig(steps=4, prompts_per_step=4, samples_per_prompt=2, minibatches=2, kl_coef=0.1, kl_target=0.01),
        optim=OptimConfig(lr=1e-2, warmup=3, schedule="cosine", tokens_per_microbatch=2048),
        evaluation=EvaluationConfig(problems=5, every=3, during=2, max_new_tokens=6),
    )


@dataclass
class Ran:
    """A session that has ended."""

    run: Run
    listener: Listener
    rollouts: Rollouts

    def weights(self) -> dict[str, torch.Tensor]:
        """The saved model's."""
        return load_file(self.run.model_path / "model.safetensors")


def evenness(rollout: Rollout) -> float:
    """Share of even tokens: a reward that even a random policy earns now and then."""
    tokens = rollout.completion.token_ids
    return sum(token % 2 == 0 for token in tokens) / len(tokens)


def begin(config: PPOJobConfig, name: str) -> Run:
    return Run.create("ppo", replace(config, run=replace(config.run, name=name)))


def go(
    config: PPOJobConfig,
    run: Run,
    grader: Grader,
    listener: Listener | None = None,
    problems: ProblemSet | None = None,
) -> Ran:
    """Run a session with workers of its own, as a fresh process would have them."""
    listener = listener or Listener()
    model, tokenizer = load_policy(config.policy)
    engine = TransformersEngine(model, tokenizer)  # type: ignore[arg-type]
    rollouts = Rollouts(
        RolloutWorker(engine, tokenizer, config.problems.system),
        SamplingParams(max_new_tokens=config.sampling.max_new_tokens),
        config.ppo.samples_per_prompt,
    )
    rewards = RewardWorker(
        config.reward,
        decoder(tokenizer),
        grader,
        max_new_tokens=config.sampling.max_new_tokens,
        functions=[UserFunction("evenness", evenness)],
    )
    workers = Workers(
        rollouts=rollouts,
        rewards=LocalRewards(rewards),
        engine=engine,
        make_engine=TorchEngine,
        meet=lambda: None,
        report=lambda values: None,
    )
    problems = problems or build_problem_set(config.problems, config.run.seed)
    Session(config, run, problems, workers, listener, rank=0, world_size=1).run()
    return Ran(run, listener, rollouts)


@pytest.fixture(scope="module")
def straight(config: PPOJobConfig, grader: Grader) -> Ran:
    """A run that was never stopped."""
    return go(config, begin(config, "straight"), grader)


def test_a_whole_run_is_examined_three_times_and_leaves_the_policy_that_it_published_last(straight: Ran) -> None:
    folder = straight.run.folder
    assert sorted(straight.listener.steps()) == [1, 2, 3, 4]
    kept = evaluations(folder)
    # Version 0 is the base model, 1 the learner's start, and each of four steps publishes the next.
    assert {name: one["policy_version"] for name, one in kept.items()} == {"base": 0, "cold_start": 1, "after": 5}
    assert {len(one["correct"]) for one in kept.values()} == {5}
    accuracies = {"accuracy_base", "accuracy_cold_start", "accuracy_after"}
    assert set(summary(folder)) == {*accuracies, "p_value", "problems"}
    assert straight.run.checkpoints.steps() == [2, 4]
    published, saved = straight.rollouts.newest, straight.weights()
    assert published is not None and published.version == 5
    tensors = published.tensors()
    assert all(torch.equal(tensors[name], saved[name]) for name in saved)
    start = load_file(folder / COLD_START / "model.safetensors")
    assert any(not torch.equal(start[name], saved[name]) for name in saved)


def test_small_evaluations_come_in_between_and_not_after_the_last_step(config: PPOJobConfig, grader: Grader) -> None:
    every_second = replace(config, evaluation=replace(config.evaluation, every=2))
    steps = go(every_second, begin(config, "glances"), grader).listener.steps()
    assert [step for step, values in steps.items() if "evaluation/accuracy" in values] == [2]


def test_without_evaluation_problems_nothing_is_examined(config: PPOJobConfig, grader: Grader) -> None:
    unexamined = replace(config, evaluation=replace(config.evaluation, problems=0, every=1))
    ran = go(unexamined, begin(config, "unexamined"), grader)
    assert evaluations(ran.run.folder) == {} and summary(ran.run.folder) == {}


def test_reinforcement_never_sees_a_worked_solution(config: PPOJobConfig, grader: Grader) -> None:
    problems = build_problem_set(config.problems, config.run.seed)
    assert any(problem.solution for problem in problems.train)
    ran = go(config, begin(config, "blind"), grader, problems=problems)
    assert ran.rollouts.problems and not any(problem.solution for problem in ran.rollouts.problems)


def test_samples_show_tokens_advantages_and_steps_that_belong_together(straight: Ran) -> None:
    rows = [row for rows in straight.listener.payloads("samples") for row in rows]
    assert len(rows) == 4 * 8
    for row in rows:
        assert len(row["tokens"]) == len(row["advantages"]) > 0
        assert row["policy_version"] == row["step"]  # synchronous: step s learns from what version s sampled
        assert all(0 <= step["last_token"] < len(row["tokens"]) for step in row["steps"])
        assert all(row["text"][step["start"] : step["end"]] == step["text"] for step in row["steps"])


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_stopped_run_ends_like_one_that_was_never_stopped(
    config: PPOJobConfig, grader: Grader, straight: Ran, stop_after: int
) -> None:
    run = begin(config, f"stopped-{stop_after}")
    first = go(config, run, grader, Listener(stop_at=("step", stop_after)))
    assert run.checkpoints.steps()[-1] == stop_after
    assert not run.model_path.exists()
    second = go(config, run, grader)
    assert second.listener.payloads("resumed") == [stop_after]
    assert_equal_ends(straight, second)
    assert first.listener.steps() | second.listener.steps() == straight.listener.steps()


def test_a_killed_run_goes_on_from_its_last_checkpoint_and_ends_the_same(
    config: PPOJobConfig, grader: Grader, straight: Ran
) -> None:
    run = begin(config, "killed")
    with pytest.raises(Killed):
        go(config, run, grader, Listener(die_at=("step", 3)))
    assert run.checkpoints.steps() == [2]
    second = go(config, run, grader)
    assert sorted(second.listener.steps()) == [3, 4]
    assert second.listener.steps().items() <= straight.listener.steps().items()
    assert_equal_ends(straight, second)


def test_a_damaged_checkpoint_is_passed_over_and_said(config: PPOJobConfig, grader: Grader, straight: Ran) -> None:
    run = begin(config, "damaged")
    go(config, run, grader, Listener(stop_at=("step", 3)))
    with (run.checkpoints.folder / "step-000003" / "engine.pt").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 8)
    second = go(config, run, grader)
    assert second.listener.payloads("resumed") == [2]
    assert any("step-000003" in note and "Using step-000002" in note for note in second.listener.payloads("note"))
    assert_equal_ends(straight, second)


def test_an_adapted_step_weight_is_measured_apart_and_resumes_exactly(config: PPOJobConfig, grader: Grader) -> None:
    reward = replace(config.reward, adaptive_weight=True, adapt_every=1)
    adaptive = replace(config, reward=reward)
    straight = go(adaptive, begin(adaptive, "adaptive"), grader)
    steps = straight.listener.steps()
    assert [step for step, values in steps.items() if "ppo/step_weight" in values] == [1, 2, 3]  # 4 is the last
    assert len({steps[step]["ppo/step_weight"] for step in (1, 2, 3)}) > 1
    probes = {problem.id for problem in build_problem_set(config.problems, config.run.seed).train[:2]}
    assert not probes & {problem.id for problem in straight.rollouts.problems}
    run = begin(adaptive, "adaptive-killed")
    with pytest.raises(Killed):
        go(adaptive, run, grader, Listener(die_at=("step", 3)))
    second = go(adaptive, run, grader)
    assert second.listener.steps().items() <= steps.items()
    assert_equal_ends(straight, second)


def assert_equal_ends(one: Ran, other: Ran) -> None:
    """Bit-equal models, and equal states of everything that the next step would read."""
    mine, theirs = one.weights(), other.weights()
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
    ends = [ran.run.checkpoints.latest() for ran in (one, other)]
    assert ends[0] is not None and ends[1] is not None
    assert (ends[0].step, ends[0].info) == (ends[1].step, ends[1].info)
    engines = [torch.load(end.path / "engine.pt", weights_only=False) for end in ends if end is not None]
    torch.testing.assert_close(engines[0], engines[1], rtol=0, atol=0)
    assert evaluations(one.run.folder) == evaluations(other.run.folder)


def test_a_run_that_is_stopped_before_its_first_step_keeps_its_cold_start(config: PPOJobConfig, grader: Grader) -> None:
    run = begin(config, "early")
    first = go(config, run, grader, Listener(stop_at=("phase", 0)))
    assert first.listener.steps() == {}
    cold_start = (run.folder / COLD_START / "model.safetensors").stat().st_mtime_ns
    second = go(config, run, grader)
    assert sorted(second.listener.steps()) == [1, 2, 3, 4]
    assert (run.folder / COLD_START / "model.safetensors").stat().st_mtime_ns == cold_start
    assert set(evaluations(run.folder)) == {"base", "cold_start", "after"}


def test_a_finished_run_is_examined_again_only_after_more_steps(config: PPOJobConfig, grader: Grader) -> None:
    run = begin(config, "more")
    go(config, run, grader)
    before = evaluations(run.folder)
    go(config, run, grader)
    assert evaluations(run.folder) == before
    longer = replace(config, ppo=replace(config.ppo, steps=5))
    assert sorted(go(longer, run, grader).listener.steps()) == [5]
    after = evaluations(run.folder)
    assert after["after"]["policy_version"] == 6
    assert after["cold_start"] == before["cold_start"]


def test_a_policy_that_a_run_made_gets_no_second_cold_start(config: PPOJobConfig, grader: Grader) -> None:
    first = begin(config, "first")
    go(config, first, grader, Listener(stop_at=("phase", 0)))
    trained = replace(config, policy=PolicyConfig(path=str(first.folder / COLD_START)))
    ran = go(trained, begin(config, "second"), grader)
    assert not (ran.run.folder / COLD_START).exists()
    figures = summary(ran.run.folder)
    assert figures["accuracy_base"] == figures["accuracy_cold_start"]
    assert figures["problems"] == 5


def test_a_run_does_not_go_on_with_other_problems(config: PPOJobConfig, grader: Grader) -> None:
    run = begin(config, "other")
    go(config, run, grader, Listener(stop_at=("step", 1)))
    others = build_problem_set(replace(config.problems, count=41), config.run.seed)
    with pytest.raises(CheckpointError, match="other training problems"):
        go(config, run, grader, problems=others)


def test_the_summary_pairs_the_problems_that_both_evaluations_have(tmp_path: Path) -> None:
    kept = {
        "cold_start": {"accuracy": 0.5, "correct": [True, False], "problem_ids": ["a", "b"], "pass_at_k": {}},
        "after": {"accuracy": 0.75, "correct": [False, True, True, True], "problem_ids": ["c", "b", "a", "d"]},
    }
    kept["after"]["pass_at_k"] = {"1": 0.7, "2": 0.9}
    (tmp_path / EVALUATIONS).write_text(json.dumps(kept))
    figures = summary(tmp_path)
    # On a and b the cold start has one right and the other run two: one discordant pair, p = 1.
    assert figures == {
        "accuracy_base": 0.5,
        "accuracy_cold_start": 0.5,
        "accuracy_after": 0.75,
        "p_value": 1.0,
        "problems": 2,
        "pass_at_1": 0.7,
        "pass_at_2": 0.9,
    }
