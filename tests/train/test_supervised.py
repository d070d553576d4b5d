"""Supervised training: the loss is a mean over response tokens, however they are cut up, and it falls."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from r1ray.config.optim import OptimConfig
from r1ray.config.policy import PolicyConfig
from r1ray.metrics.reductions import Mean, Metric
from r1ray.models.loading import load_policy
from r1ray.models.policy import Policy
from r1ray.train.supervised import Example, equal_count, pack_examples, train_supervised
from tests.fakes import TorchEngine

GRADIENT_STEP = OptimConfig(lr=0.1, eps=1.0, betas=(0.0, 0.0), max_grad_norm=0.0, tokens_per_microbatch=100_000)
"""AdamW that moves each weight by lr · g / (|g| + 1): equal weights after one step mean equal gradients."""


class OneOfMany(TorchEngine):
    """A rank beside another one that has three micro-batches."""

    def all_reduce_max(self, value: int) -> int:
        return max(3, value)


def train(
    path: Path, batches: Sequence[Sequence[Example]], config: OptimConfig, engine_class: type[TorchEngine] = TorchEngine
) -> tuple[dict[str, Tensor], list[dict[str, Metric]]]:
    """Weights after training, and each step's metrics."""
    model, _ = load_policy(PolicyConfig(path=str(path)))
    engine = engine_class(Policy(model), config, total_steps=len(batches))
    reports: list[dict[str, Metric]] = []

    def report(step: int, metrics: dict[str, Metric]) -> None:
        assert step == len(reports) + 1
        reports.append(metrics)

    train_supervised(engine, batches, config, report)
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}, reports


def test_the_loss_falls(tiny_policy: Path, examples: list[Example]) -> None:
    _, reports = train(tiny_policy, [examples] * 20, OptimConfig(lr=3e-3, tokens_per_microbatch=100))
    losses = [metrics["sft/loss"].value for metrics in reports]
    assert losses[-1] < 0.5 * losses[0]
    assert losses[-1] < min(losses[:10])


def test_the_reported_loss_is_the_mean_over_response_tokens_alone(tiny_policy: Path, examples: list[Example]) -> None:
    _, [metrics] = train(tiny_policy, [examples], GRADIENT_STEP)
    model, _ = load_policy(PolicyConfig(path=str(tiny_policy)))
    expected = []
    for example in examples:  # one row at a time through the model's own logits
        ids = torch.tensor([[*example.prompt_ids, *example.response_ids]])
        with torch.no_grad():
            logprobs = model(ids).logits.log_softmax(-1)[0]
        start = len(example.prompt_ids)
        expected += [-float(logprobs[start + t - 1, token]) for t, token in enumerate(example.response_ids)]
    loss = metrics["sft/loss"]
    assert isinstance(loss, Mean)
    assert loss.weight == len(expected)
    assert loss.value == pytest.approx(sum(expected) / len(expected), rel=1e-5)


@pytest.mark.parametrize("budget", [90, 30])
def test_the_update_does_not_depend_on_the_microbatch_budget(
    budget: int, tiny_policy: Path, examples: list[Example]
) -> None:
    at_once, [whole] = train(tiny_policy, [examples], GRADIENT_STEP)
    in_parts, [parts] = train(tiny_policy, [examples], replace(GRADIENT_STEP, tokens_per_microbatch=budget))
    assert max(float((at_once[name] - in_parts[name]).abs().max()) for name in at_once) < 1e-6
    assert parts["sft/loss"].value == pytest.approx(whole["sft/loss"].value, rel=1e-5)
    assert parts["optim/grad_norm"].value == pytest.approx(whole["optim/grad_norm"].value, rel=1e-5)


def test_idle_microbatches_change_nothing(tiny_policy: Path, examples: list[Example]) -> None:
    alone, _ = train(tiny_policy, [examples[:2]], GRADIENT_STEP)
    beside, [metrics] = train(tiny_policy, [examples[:2]], GRADIENT_STEP, OneOfMany)
    assert all(torch.equal(alone[name], beside[name]) for name in alone)
    assert math.isfinite(metrics["sft/loss"].value)


def test_an_empty_share_takes_part_and_reports_nothing(tiny_policy: Path, examples: list[Example]) -> None:
    weights, [metrics] = train(tiny_policy, [[]], GRADIENT_STEP, OneOfMany)
    before, _ = train(tiny_policy, [], GRADIENT_STEP)
    assert all(torch.equal(weights[name], before[name]) for name in weights)
    assert metrics["sft/loss"].merge(Mean(2.0, 5.0)) == Mean(2.0, 5.0)
    assert metrics["optim/grad_norm"].value == 0


def test_every_rank_makes_as_many_microbatches(tiny_policy: Path, examples: list[Example]) -> None:
    model, _ = load_policy(PolicyConfig(path=str(tiny_policy)))
    beside = OneOfMany(Policy(model), GRADIENT_STEP, total_steps=1)
    own = pack_examples(examples, 60)
    assert len(own) > 3
    assert [counts for _, counts in equal_count(own, beside)] == [True] * len(own)
    assert [counts for _, counts in equal_count(own[:2], beside)] == [True, True, False]
    assert [counts for _, counts in equal_count([], beside)] == [False] * 3
    # Nobody has anything: one idle micro-batch, so that the optimizer finds gradients.
    alone = TorchEngine(Policy(model), GRADIENT_STEP, total_steps=1)
    assert [counts for _, counts in equal_count([], alone)] == [False]
