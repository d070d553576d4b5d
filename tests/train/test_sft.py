"""The SFT loss is cross-entropy on the marked tokens of each row by itself, whatever lies beside it in the batch."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from r1ray.config.optim import OptimConfig
from r1ray.config.policy import PolicyConfig
from r1ray.data.encoding import TokenRow
from r1ray.models.loading import load_policy
from r1ray.models.policy import Policy
from r1ray.train.plain import TorchEngine
from r1ray.train.sft import SFTObjective
from tests.tiny import make_tiny_tokenizer

EOS = 2


def row(*turns: tuple[str, bool]) -> TokenRow:
    """Turns, each learned or not, each ended by the token that also pads."""
    ids: list[int] = []
    mask: list[bool] = []
    for text, learned in turns:
        new = [*make_tiny_tokenizer()(text).input_ids, EOS]
        ids += new
        mask += [learned] * len(new)
    return TokenRow(token_ids=ids, response_mask=mask)


ROWS = {
    "short": row(("2 + 2?", False), ("4", True)),
    "turns": row(("Hello", False), ("Good day", True), ("How many?", False), ("Three, I think", True)),
    "long": row(("Why?", False), ("Because it is so. " * 4, True)),
}


def expected(model: torch.nn.Module, smoothing: float) -> tuple[Tensor, float]:
    """Sum of losses over learned tokens, row by row through the model's own logits; and their number."""
    total, count = torch.zeros(()), 0
    for one in ROWS.values():
        logits = model(torch.tensor([one.token_ids])).logits[0, :-1]
        targets = torch.tensor(one.token_ids[1:])
        losses = F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
        learned = torch.tensor(one.response_mask[1:])
        total = total + losses[learned].sum()
        count += int(learned.sum())
    return total, count


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(("budget", "packing"), [(10_000, True), (60, True), (10_000, False)])
def test_loss_and_gradient_are_those_of_rows_alone(
    budget: int, packing: bool, smoothing: float, tiny_policy: Path
) -> None:
    model, _ = load_policy(PolicyConfig(path=str(tiny_policy)))
    engine = TorchEngine(Policy(model), OptimConfig(), total_steps=1)
    objective = SFTObjective(
        ROWS, tokens_per_microbatch=budget, logits_chunk=32, packing=packing, label_smoothing=smoothing
    )
    batches = objective.microbatches(list(ROWS))
    assert (len(batches) > 1) == (not packing or budget == 60)
    losses = [objective.loss(engine, batch) for batch in batches]
    found = torch.stack([loss for loss, _ in losses]).sum()
    found.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()

    reference, count = expected(model, smoothing)
    reference.backward()
    assert sum(map(objective.count, batches)) == count
    assert float(found.detach()) == pytest.approx(float(reference.detach()), rel=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-4, atol=1e-5)
    nll = sum(metrics["train/nll"].value * objective.count(b) for (_, metrics), b in zip(losses, batches, strict=True))
    assert nll == pytest.approx(float(expected(model, 0.0)[0].detach()), rel=1e-5)


def test_the_validation_loss_is_a_mean_without_dropout_or_smoothing(tiny_policy: Path) -> None:
    model, _ = load_policy(PolicyConfig(path=str(tiny_policy)), dropout=0.5)
    engine = TorchEngine(Policy(model), OptimConfig(), total_steps=1)
    objective = SFTObjective(ROWS, tokens_per_microbatch=60, logits_chunk=32, label_smoothing=0.3)
    engine.module.train()
    found = objective.negative_log_likelihood(engine, list(ROWS))
    total, count = expected(model, 0.0)
    assert found == pytest.approx(float(total.detach()) / count, rel=1e-5)


def test_an_idle_microbatch_counts_for_nothing(tiny_policy: Path) -> None:
    model, _ = load_policy(PolicyConfig(path=str(tiny_policy)))
    engine = TorchEngine(Policy(model), OptimConfig(), total_steps=1)
    objective = SFTObjective(ROWS, tokens_per_microbatch=60, logits_chunk=32)
    idle = objective.idle()
    loss, _ = objective.loss(engine, idle)
    assert objective.count(idle) == 0 and float(loss.detach()) == 0 and loss.requires_grad


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_plain_engine_goes_on_from_what_it_saved(dtype: str, tiny_policy: Path, tmp_path: Path) -> None:
    objective = SFTObjective(ROWS, tokens_per_microbatch=10_000, logits_chunk=64)

    def make() -> TorchEngine:
        model, _ = load_policy(PolicyConfig(path=str(tiny_policy)))
        return TorchEngine(Policy(model), replace(OptimConfig(), lr=1e-3), total_steps=9, dtype=dtype)

    def steps(engine: TorchEngine, count: int) -> list[float]:
        found = []
        for _ in range(count):
            [batch] = objective.microbatches(list(ROWS))
            loss, _ = objective.loss(engine, batch)
            engine.backward(loss / objective.count(batch))
            engine.step(bound=lambda norm: 0.5)
            found.append(float(loss.detach()))
        return found

    engine = make()
    first = steps(engine, 4)
    engine.save(tmp_path)
    after = steps(engine, 3)
    other = make()
    other.load(tmp_path)
    assert steps(other, 3) == after
    assert after[-1] < first[0] and math.isfinite(first[0])
