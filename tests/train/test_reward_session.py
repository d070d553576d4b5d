"""A rank's training of a reward model on plain PyTorch: what is saved is read by the reward worker's own reader."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from r1ray.config.jobs import RewardModelJobConfig
from r1ray.config.optim import OptimConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.reward_model import RewardModelConfig
from r1ray.config.run import RunConfig
from r1ray.data.labelled_steps import LabelledSolution, encode_steps
from r1ray.models.process_reward import ProcessRewardModel
from r1ray.reasoning.steps import find_steps, token_char_ends
from r1ray.runs import Run
from r1ray.train.plain import TorchEngine
from r1ray.train.reward_rows import Parts
from r1ray.train.reward_session import Ranks, RewardSession, steps_ahead
from r1ray.types import Completion, Problem, Rollout
from tests.tiny import make_tiny_policy, make_tiny_tokenizer

TOKENIZER = make_tiny_tokenizer()
GOOD, BAD = "yes = yes", "no, never"


def decode(ids: list[int]) -> str:
    return str(TOKENIZER.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def rows(count: int, first: int = 0) -> dict[str, list[Any]]:
    """Lines with an equals sign are right; each prompt has a right and a wrong solution."""
    return {
        str(i): [
            encode_steps(
                LabelledSolution(question=f"{i}?", steps=(GOOD, last), labels=(1.0, float(last == GOOD))),
                TOKENIZER,
                decode,
                system="Judge.",
            )
            for last in (GOOD, BAD)
        ]
        for i in range(first, first + count)
    }


class Told:
    """A listener that stops after some step."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.stop_after, self.steps, self.notes = stop_after, list[tuple[int, dict[str, float]]](), list[str]()

    def post(self, kind: str, payload: Any = None) -> None:
        if kind == "note":
            self.notes.append(payload)

    def ask(self, kind: str, payload: Any = None) -> bool:
        self.steps.append(payload)
        return bool(payload[0] >= self.stop_after)


def job(policy: Path, storage: Path, name: str) -> RewardModelJobConfig:
    return RewardModelJobConfig(
        run=RunConfig(storage=str(storage), name=name, checkpoint_every=4),
        policy=PolicyConfig(path=str(policy)),
        reward_model=RewardModelConfig(epochs=2, batch=2, evaluate_every=4),
        optim=OptimConfig(lr=3e-3, tokens_per_microbatch=256),
    )


def train(config: RewardModelJobConfig, run: Run, told: Told) -> None:
    ranks = Ranks(rank=0, world_size=1, make_engine=TorchEngine, meet=lambda: None, report=lambda _: None)
    RewardSession(config, run, Parts(train=rows(16), validation=rows(4, first=100)), told, ranks).run()


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_policy(tmp_path_factory.mktemp("session") / "policy")


@pytest.fixture(scope="module")
def trained(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Told]:
    storage = tmp_path_factory.mktemp("runs")
    config, told = job(policy, storage, "whole"), Told()
    run = Run.create("reward_model", config)
    train(config, run, told)
    return run, told


def test_losses_fall_and_validation_is_watched(trained: tuple[Run, Told]) -> None:
    _, told = trained
    assert [step for step, _ in told.steps] == list(range(1, 17))
    assert told.steps[-1][1]["train/loss"] < 0.1 < told.steps[0][1]["train/loss"]
    assert [step for step, values in told.steps if "validation/loss" in values] == [4, 8, 12, 16]
    assert told.steps[-1][1]["validation/loss"] < 0.1


def test_the_saved_model_reads_sampled_ids_at_step_ends(trained: tuple[Run, Told]) -> None:
    run, _ = trained
    stored = json.loads((run.model_path / "config.json").read_text())
    assert stored["r1ray_prm"]["position"] == "step_end"
    text = f"{GOOD}\n{BAD}"
    ids = TOKENIZER(text).input_ids
    prompt = TOKENIZER(stored["r1ray_prm"]["prompt"].format(question="7?")).input_ids
    steps = find_steps(text, token_char_ends(decode, ids))
    rollout = Rollout(
        problem=Problem(id="p", question="7?", answer=""),
        prompt_ids=[1, *prompt],
        completion=Completion(token_ids=ids, logprobs=[], finish_reason="stop", text=text),
        policy_version=0,
    )
    shared = ProcessRewardModel.from_path(str(run.folder), policy_tokenizer=TOKENIZER)
    assert shared.reads_sampled_ids
    [[right, wrong]] = shared.score([rollout], [steps])
    assert right > 0.9 and wrong < 0.1
    alone = ProcessRewardModel.from_path(str(run.folder))  # encodes question and steps for itself
    assert alone.score([rollout], [steps])[0] == pytest.approx([right, wrong], abs=0.02)


def test_a_run_that_was_stopped_and_resumed_ends_with_the_same_bits(
    policy: Path, trained: tuple[Run, Told], tmp_path: Path
) -> None:
    config = job(policy, tmp_path, "stopped")
    run = Run.create("reward_model", config)
    train(config, run, Told(stop_after=6))
    assert run.checkpoints.steps() == [4, 6] and not run.model_path.exists()
    told = Told()
    train(config, run, told)
    assert told.notes == ["Resumed at step 6 of 16."]
    assert [step for step, _ in told.steps] == list(range(7, 17))
    whole, resumed = (load_file(one.model_path / "model.safetensors") for one in (trained[0], run))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_steps_ahead_are_known_before_anything_starts(policy: Path, tmp_path: Path) -> None:
    assert steps_ahead(Parts(train=rows(16), validation={}), job(policy, tmp_path, "x")) == 16
