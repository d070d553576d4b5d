"""ZeRO's stages all compute what plain PyTorch computes, and go on from a checkpoint as if nothing had happened."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from r1ray.config.optim import OptimConfig, ZeroConfig
from r1ray.config.policy import LoraConfig, PolicyConfig
from r1ray.config.sft import TransferConfig
from r1ray.errors import CheckpointError
from r1ray.metrics.reductions import Metric, reduce_all
from r1ray.models.loading import load_policy
from r1ray.models.policy import Policy
from r1ray.train.engine import TrainEngine
from r1ray.train.supervised import Example, pack_examples, train_supervised
from r1ray.train.transfer import transfer_groups
from r1ray.train.zero import ZeroEngine
from tests.fakes import TorchEngine
from tests.tiny import make_tiny_policy

STAGES = (0, 1, 2, 3)
OPTIM = OptimConfig(
    lr=1e-2, warmup=2, schedule="cosine", weight_decay=0.1, eps=1e-3, max_grad_norm=0.5, tokens_per_microbatch=80
)

pytestmark = pytest.mark.usefixtures("one_rank")


def make_policy(path: Path, *, rank: int = 0, dtype: str = "float32") -> Policy:
    """The tiny policy, with adapters that are no longer zero if there are any."""
    torch.manual_seed(0)
    model, _ = load_policy(PolicyConfig(path=str(path), dtype=dtype, lora=LoraConfig(rank=rank)))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return Policy(model)


def make_zero(policy: Policy, stage: int, optim: OptimConfig = OPTIM, dtype: str = "float32") -> ZeroEngine:
    return ZeroEngine(policy, optim, ZeroConfig(stage=stage), dtype=dtype, total_steps=8)


def train(engine: TrainEngine, examples: list[Example], steps: int = 3) -> list[dict[str, float]]:
    """Full batches of 12, 8 and 4 examples in turn: four, three and two micro-batches. Returns each step's figures."""
    figures: list[dict[str, float]] = []

    def report(step: int, metrics: dict[str, Metric]) -> None:
        figures.append(reduce_all([metrics]))

    train_supervised(engine, [examples[4 * (n % 3) :] for n in range(steps)], OPTIM, report)
    return figures


def copied(engine: TrainEngine) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in engine.weights().items()}


@pytest.mark.parametrize(("stage", "max_grad_norm"), [*((stage, 0.5) for stage in STAGES), (0, 0.0), (3, 0.0)])
def test_every_stage_equals_plain_pytorch(
    max_grad_norm: float, stage: int, tiny_policy: Path, examples: list[Example]
) -> None:
    optim = replace(OPTIM, max_grad_norm=max_grad_norm)
    plain = TorchEngine(make_policy(tiny_policy), optim, total_steps=8)
    expected = train(plain, examples)
    engine = make_zero(make_policy(tiny_policy), stage, optim)
    found = train(engine, examples)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)  # loss, learning rate, gradient norm before clipping
    assert expected[0]["optim/grad_norm"] > 0.5  # so the clip bites
    weights, reference = engine.weights(), plain.weights()
    assert weights.keys() == reference.keys()
    for name in reference:
        torch.testing.assert_close(weights[name], reference[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("stage", "dtype"), [*((stage, "float32") for stage in STAGES), (2, "bfloat16")])
def test_training_goes_on_from_a_checkpoint_bit_for_bit(
    stage: int, dtype: str, tiny_policy: Path, examples: list[Example], tmp_path: Path
) -> None:
    engine = make_zero(make_policy(tiny_policy, dtype=dtype), stage, dtype=dtype)
    train(engine, examples, steps=2)
    engine.save(tmp_path)
    figures = train(engine, examples, steps=2)
    expected = copied(engine)

    other = make_zero(make_policy(tiny_policy, dtype=dtype), stage, dtype=dtype)
    train(other, examples[:3], steps=1)  # whatever it was before
    other.load(tmp_path)
    assert train(other, examples, steps=2) == figures
    found = other.weights()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert expected.keys() == found.keys()


def test_a_missing_checkpoint_is_named(tiny_policy: Path, tmp_path: Path) -> None:
    engine = make_zero(make_policy(tiny_policy), 2)
    with pytest.raises(CheckpointError, match=r"nowhere holds no checkpoint of the trainer: zero\.json is not there"):
        engine.load(tmp_path / "nowhere")


def test_a_checkpoint_that_is_sharded_otherwise_is_refused(tiny_policy: Path, tmp_path: Path) -> None:
    make_zero(make_policy(tiny_policy), 1).save(tmp_path)  # before a step there is nothing portable about it
    with pytest.raises(CheckpointError, match=r"with zero\.stage 1, resources\.learners 1, .* has zero\.stage 2, "):
        make_zero(make_policy(tiny_policy), 2).load(tmp_path)


@pytest.mark.parametrize(("dtype", "source", "target"), [("float32", 1, 3), ("float32", 3, 2), ("bfloat16", 2, 3)])
def test_another_stage_goes_on_from_a_portable_checkpoint(
    dtype: str, source: int, target: int, tiny_policy: Path, examples: list[Example], tmp_path: Path
) -> None:
    engine = make_zero(make_policy(tiny_policy, dtype=dtype), source, dtype=dtype)
    train(engine, examples, steps=2)
    engine.save(tmp_path)
    figures = train(engine, examples, steps=3)
    other = make_zero(make_policy(tiny_policy, dtype=dtype), target, dtype=dtype)
    other.load(tmp_path)
    for found, expected in zip(train(other, examples, steps=3), figures, strict=True):
        assert found == pytest.approx(expected, rel=1e-4 if dtype == "float32" else 2e-2)


@pytest.mark.parametrize("stage", [0, 3])
def test_adapters_train_alone_and_weights_come_merged(
    stage: int, tiny_policy: Path, examples: list[Example], tmp_path: Path
) -> None:
    plain = TorchEngine(make_policy(tiny_policy, rank=4), OPTIM, total_steps=8)
    train(plain, examples)
    policy = make_policy(tiny_policy, rank=4)
    engine = make_zero(policy, stage)
    before = copied(engine)
    train(engine, examples)
    weights, reference = engine.weights(), plain.weights()
    assert not any("lora" in name for name in weights)
    for name in reference:
        torch.testing.assert_close(weights[name], reference[name], rtol=1e-5, atol=1e-6)
    moved = {name for name in before if not torch.equal(before[name], weights[name])}
    assert moved == {name for name in before if "_proj" in name}
    engine.save(tmp_path)
    other = make_zero(make_policy(tiny_policy, rank=4), stage)
    other.load(tmp_path)
    restored = other.weights()
    assert all(torch.equal(restored[name], weights[name]) for name in weights)


@pytest.mark.parametrize("stage", [0, 2])
def test_bfloat16_learns_and_hands_out_bfloat16(stage: int, tiny_policy: Path, examples: list[Example]) -> None:
    engine = make_zero(make_policy(tiny_policy, dtype="bfloat16"), stage, dtype="bfloat16")
    losses = [figures["sft/loss"] for figures in train(engine, examples, steps=7)]
    assert losses[6] < 0.8 * losses[0]  # steps 0, 3 and 6 see the same examples
    assert {tensor.dtype for tensor in engine.weights().values()} == {torch.bfloat16}


@pytest.mark.parametrize(("stage", "dtype"), [*((stage, "float32") for stage in STAGES), (2, "bfloat16")])
def test_a_bound_is_asked_once_and_scales_the_gradient(
    stage: int, dtype: str, tiny_policy: Path, examples: list[Example]
) -> None:
    optim = replace(OPTIM, betas=(0.0, 0.0), eps=1.0, warmup=0, schedule="constant", weight_decay=0.0, lr=1e-1)
    moved = []
    for bound in (1e-2, 1e-3):
        engine = make_zero(make_policy(tiny_policy, dtype=dtype), stage, optim, dtype=dtype)
        before, asked = copied(engine), list[float]()

        def limit(norm: float, bound: float = bound, asked: list[float] = asked) -> float:
            asked.append(norm)
            return bound

        for packed in pack_examples(examples, 80):
            logprobs = engine.forward(packed, chunk=64).logprobs
            engine.backward(-logprobs.mean())
        figures = engine.step(1.0, limit)
        assert asked == [pytest.approx(figures["grad_norm"], rel=1e-2)]
        after = engine.weights()
        moved.append(sum(float((after[name] - before[name]).float().abs().sum()) for name in before))
    if dtype == "float32":  # so small an update lies below bfloat16's digits
        assert moved[0] / moved[1] == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("stage", [2, 3])
def test_a_tied_head_stays_tied_in_what_is_handed_out(stage: int, tiny_policy: Path) -> None:
    weights = make_zero(make_policy(tiny_policy), stage).weights()
    assert weights["lm_head.weight"].data_ptr() == weights["model.embed_tokens.weight"].data_ptr()


def test_a_missing_process_group_is_said(tiny_policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "is_initialized", lambda: False)
    with pytest.raises(RuntimeError, match=r"needs a process group: run it in a Ray Train worker"):
        make_zero(make_policy(tiny_policy), 0)


@pytest.mark.parametrize("stage", [0, 2, 3])
def test_layers_thaw_under_every_stage_as_under_plain_pytorch(
    stage: int, examples: list[Example], tmp_path: Path
) -> None:
    path = make_tiny_policy(tmp_path / "policy", hidden=32)
    transfer = TransferConfig(mode="gradual", unfreeze_every=2, layer_decay=0.5)

    def trained(make: Any) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
        policy = make_policy(path)
        engine = make(policy, transfer_groups(policy, OPTIM, transfer))
        return train(engine, examples, steps=3), copied(engine)

    expected, weights = trained(lambda policy, groups: TorchEngine(policy, OPTIM, total_steps=8, groups=groups))
    found, others = trained(
        lambda policy, groups: ZeroEngine(policy, OPTIM, ZeroConfig(stage=stage), total_steps=8, groups=groups)
    )
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    start = make_policy(path).model.state_dict()
    for name, tensor in weights.items():
        torch.testing.assert_close(others[name], tensor, rtol=1e-5, atol=1e-6)
        assert torch.equal(others[name], start[name]) == ("layers.0." in name), name  # two layers down: not yet
