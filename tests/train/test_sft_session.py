"""One rank's SFT run with real networks and everything else in this process: from a config to a saved model."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from r1ray.config.evaluation import EvaluationConfig
from r1ray.config.jobs import SFTJobConfig
from r1ray.config.optim import OptimConfig
from r1ray.config.policy import LoraConfig, PolicyConfig
from r1ray.config.problems import ProblemsConfig
from r1ray.config.run import RunConfig
from r1ray.config.sft import ParallelConfig, PrecisionConfig, SFTConfig, TransferConfig
from r1ray.errors import ConfigError
from r1ray.models.loading import load_policy
from r1ray.runs import Run
from r1ray.train.examine import evaluations
from r1ray.train.finetune import generation, read_data, settle, summary
from r1ray.train.plain import TorchEngine
from r1ray.train.sft_session import BEST, SFTSession, SFTWorkers


class Listener:
    """Keeps steps and notes; says stop after a step."""

    def __init__(self, stop_after: int = 0) -> None:
        self.steps: list[dict[str, float]] = []
        self.notes: list[str] = []
        self._stop_after = stop_after

    def post(self, kind: str, payload: Any = None) -> None:
        if kind == "note":
            self.notes.append(payload)

    def ask(self, kind: str, payload: Any = None) -> bool:
        if kind == "step":
            self.steps.append(payload[1])
        return bool(self._stop_after) and len(self.steps) >= self._stop_after


@pytest.fixture
def job(tiny_policy: Path, tmp_path: Path) -> SFTJobConfig:
    return SFTJobConfig(
        run=RunConfig(storage=str(tmp_path), checkpoint_every=2),
        policy=PolicyConfig(path=str(tiny_policy)),
        problems=ProblemsConfig(families=("chain:1-2",), count=60, heldout=6, max_prompt_tokens=400),
        sft=SFTConfig(examples=12, validation=4, batch=4, epochs=2, evaluate_every=2),
        optim=OptimConfig(lr=3e-3, schedule="wsd", tokens_per_microbatch=512),
        evaluation=EvaluationConfig(problems=6, every=4, during=3, max_new_tokens=6),
    )


def train(config: SFTJobConfig, run: Run, stop_after: int = 0, engine: Any = TorchEngine) -> Listener:
    config = settle(config, run)
    listener = Listener(stop_after)
    workers = SFTWorkers(
        make_engine=partial(engine),
        make_generation=partial(generation, config, "cpu"),
        meet=lambda: None,
        report=lambda values: None,
    )
    data = read_data(config, run, lambda text: None)
    SFTSession(config, run, data, workers, listener, rank=0, world_size=1).run()
    return listener


def model_of(run: Run) -> Mapping[str, torch.Tensor]:
    return load_policy(PolicyConfig(path=str(run.folder)))[0].state_dict()


def test_a_whole_run(job: SFTJobConfig) -> None:
    run = Run.create("sft", job)
    listener = train(job, run)
    assert len(listener.steps) == 6
    losses = [row["validation/loss"] for row in listener.steps if "validation/loss" in row]
    assert len(losses) == 3  # after steps 2, 4 and 6
    assert losses == sorted(losses, reverse=True)
    assert listener.steps[1]["validation/perplexity"] == pytest.approx(math.exp(losses[0]))
    assert "evaluation/accuracy" in listener.steps[3] and "evaluation/accuracy" not in listener.steps[1]
    assert set(evaluations(run.folder)) == {"before", "after"}
    assert summary(run).keys() == {"accuracy_before", "accuracy_after", "p_value", "problems"}
    assert run.manifest()["rows"]["train"] == 12
    assert run.checkpoints.steps() == [4, 6]
    assert any("DeepSpeed" in note or "engine ready" in note for note in listener.notes)


def test_a_stopped_run_goes_on_to_the_same_weights(job: SFTJobConfig, tmp_path: Path) -> None:
    job = replace(job, sft=replace(job.sft, dropout=0.1), evaluation=EvaluationConfig(problems=0))
    whole = Run.create("sft", replace(job, run=replace(job.run, name="whole")))
    expected = train(job, whole)
    run = Run.create("sft", replace(job, run=replace(job.run, name="parts")))
    first = train(job, run, stop_after=3)
    assert not run.model_path.exists()
    assert run.checkpoints.steps() == [2, 3]
    second = train(job, run)
    assert any(note.startswith("Resumed at step 3 of") for note in second.notes)
    kept = [{k: v for k, v in row.items() if k[:4] not in ("time", "thro")} for row in first.steps + second.steps]
    assert kept == [{k: v for k, v in row.items() if k[:4] not in ("time", "thro")} for row in expected.steps]
    found, reference = model_of(run), model_of(whole)
    assert all(torch.equal(found[name], reference[name]) for name in reference)
    assert train(job, run).steps == []  # past the last step


def test_patience_keeps_the_best_weights(job: SFTJobConfig) -> None:
    job = replace(
        job,
        optim=replace(job.optim, lr=0.3, schedule="constant"),  # soon overshoots
        sft=replace(job.sft, evaluate_every=1, patience=2, epochs=6),
        evaluation=EvaluationConfig(problems=0),
    )
    run = Run.create("sft", job)
    listener = train(job, run)
    losses = [row["validation/loss"] for row in listener.steps]
    assert len(losses) < 18  # it stopped early,
    assert min(losses) == losses[-3]  # two validations after the best one,
    best = load_policy(PolicyConfig(path=str(run.folder / BEST)))[0].state_dict()
    assert all(torch.equal(best[name], tensor) for name, tensor in model_of(run).items())  # which is what is kept


@pytest.mark.parametrize(
    ("changes", "moved"),
    [
        ({"transfer": TransferConfig(mode="head")}, {"embed_tokens", "norm"}),
        ({"transfer": TransferConfig(mode="last", layers=1)}, {"embed_tokens", "norm", "layers.1"}),
        # Six steps, a layer more every four: the last layer joins, the one below does not.
        ({"transfer": TransferConfig(mode="gradual", unfreeze_every=4)}, {"embed_tokens", "norm", "layers.1"}),
        ({"policy": LoraConfig(rank=2)}, {"layers.0", "layers.1"}),
    ],
    ids=["head", "last", "gradual", "lora"],
)
def test_what_is_frozen_does_not_move(
    changes: dict[str, Any], moved: set[str], job: SFTJobConfig, tmp_path: Path
) -> None:
    from tests.tiny import make_tiny_policy

    start = make_tiny_policy(tmp_path / "two-layers", hidden=32)
    policy = PolicyConfig(path=str(start), lora=changes.pop("policy", LoraConfig()))
    job = replace(job, policy=policy, evaluation=EvaluationConfig(problems=0), **changes)
    run = Run.create("sft", job)
    train(job, run)
    before, after = load_policy(PolicyConfig(path=str(start)))[0].state_dict(), model_of(run)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    found = {part for part in ("embed_tokens", "layers.0", "layers.1") if any(part in name for name in changed)}
    found |= {"norm"} if "model.norm.weight" in changed else set()
    assert found == moved


@pytest.mark.parametrize("every", [1, 2, 3])
def test_activation_checkpointing_changes_nothing(every: int, job: SFTJobConfig, tmp_path: Path) -> None:
    from tests.tiny import make_tiny_policy

    start = make_tiny_policy(tmp_path / "five-layers", hidden=32, layers=5)
    job = replace(job, policy=PolicyConfig(path=str(start)), evaluation=EvaluationConfig(problems=0))
    job = replace(job, sft=replace(job.sft, max_steps=2))
    plain = train(job, Run.create("sft", replace(job, run=replace(job.run, name="plain"))))
    job = replace(job, parallel=ParallelConfig(checkpoint_layers=every))
    found = train(job, Run.create("sft", replace(job, run=replace(job.run, name="checkpointed"))))
    for one, two in zip(found.steps, plain.steps, strict=True):
        assert one["train/loss"] == pytest.approx(two["train/loss"], rel=1e-6)
        assert one["optim/grad_norm"] == pytest.approx(two["optim/grad_norm"], rel=1e-5)


def test_settings_that_contradict_each_other_are_refused(job: SFTJobConfig) -> None:
    with pytest.raises(ConfigError, match="`head` trains the output head alone"):
        replace(job, transfer=TransferConfig(mode="head"), policy=replace(job.policy, lora=LoraConfig(rank=4)))
    with pytest.raises(ConfigError, match="`float16` needs a GPU"):
        replace(job, precision=PrecisionConfig(dtype="float16"))


def test_bfloat16_adapters_smoothing_and_a_token_budget_work_together(job: SFTJobConfig) -> None:
    job = replace(
        job,
        policy=replace(job.policy, lora=LoraConfig(rank=2, dropout=0.1)),
        precision=PrecisionConfig(dtype="bfloat16"),
        sft=replace(job.sft, batch=0, batch_tokens=600, label_smoothing=0.1, packing=False, patience=9),
        evaluation=replace(job.evaluation, every=2),
    )
    run = Run.create("sft", job)
    listener = train(job, run, engine=partial(TorchEngine, dtype="bfloat16"))
    assert len(listener.steps) > 2
    assert all(row["train/loss"] > row["train/nll"] * 0.8 for row in listener.steps)
    assert "evaluation/accuracy" in listener.steps[1]
    assert model_of(run)["model.norm.weight"].dtype == torch.float32  # as `policy.dtype` asks
    assert (run.folder / BEST / "adapter").exists()
