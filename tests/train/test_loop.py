"""The supervised loop resumes bit for bit, does not care how its rows are cut up, and stops when it should."""

import functools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch

from r1ray.config.augment import AdaptiveConfig
from r1ray.config.optim import OptimConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.sft import AccumulationConfig, ClippingConfig, LossTrendConfig
from r1ray.data.encoding import TokenRow
from r1ray.data.row_order import RowOrder
from r1ray.errors import CheckpointError, DivergenceError
from r1ray.metrics.reductions import Last, Metric, reduce_all
from r1ray.models.loading import load_policy
from r1ray.models.policy import Policy
from r1ray.train.controls import LoopConfig
from r1ray.train.loop import VALIDATION_LOSS, SupervisedLoop, planned_steps
from r1ray.train.plain import TorchEngine
from r1ray.train.sft import SFTBatch, SFTObjective
from r1ray.train.supervised import Example
from r1ray.train.variants import Variants

OPTIM = OptimConfig(lr=3e-3, schedule="cosine", warmup=2, tokens_per_microbatch=60)
EVERYTHING = LoopConfig(
    seed=3,
    optim=OPTIM,
    batch=3,
    epochs=2,
    clipping=ClippingConfig(kind="history", warmup=2),
    loss_trend=LossTrendConfig(window=3),
)
ADAPTIVE = replace(EVERYTHING, accumulation=AccumulationConfig(kind="adaptive", low=2, high=4, decay=0.5), epochs=3)

Figures = list[dict[str, float]]


@pytest.fixture
def rows(examples: list[Example]) -> dict[str, TokenRow]:
    return {
        f"r{n:02}": TokenRow(
            token_ids=e.prompt_ids + e.response_ids,
            response_mask=[False] * len(e.prompt_ids) + [True] * len(e.response_ids),
        )
        for n, e in enumerate(examples)
    }


def make_loop(
    path: Path,
    rows: dict[str, TokenRow],
    config: LoopConfig,
    dropout: float = 0.0,
    variants: Mapping[str, list[str]] = MappingProxyType({}),
    **objective: Any,
) -> tuple[SupervisedLoop[SFTBatch], TorchEngine]:
    lengths = {name: len(row.token_ids) for name, row in rows.items()}
    aside = {name for found in variants.values() for name in found}
    own = {name: length for name, length in lengths.items() if name not in aside}
    order = RowOrder(own, config.seed, others={name: lengths[name] for name in aside})
    model, _ = load_policy(PolicyConfig(path=str(path)), dropout=dropout)
    engine = TorchEngine(Policy(model), config.optim, total_steps=planned_steps(order, config))
    settings = {"tokens_per_microbatch": config.optim.tokens_per_microbatch, "logits_chunk": 64} | objective
    instead = Variants(variants, AdaptiveConfig(base=0.5), config.seed) if variants else None
    return SupervisedLoop(engine, SFTObjective(rows, **settings), order, config, instead), engine


def train(loop: SupervisedLoop[SFTBatch], steps: int = 0, **hooks: Any) -> Figures:
    """Until the end, or for so many steps."""
    figures: Figures = []

    def report(step: int, metrics: dict[str, Metric]) -> bool:
        values = reduce_all([metrics])
        figures.append({k: v for k, v in values.items() if not k.startswith("time/")})
        return not (steps and len(figures) == steps)

    loop.run(report, **hooks)
    return figures


@pytest.mark.parametrize("stop_at", [1, 4, 5, 8])  # in the middle, at the end of an epoch, just after, at the end
@pytest.mark.parametrize(
    ("config", "variants"),
    [(EVERYTHING, {}), (ADAPTIVE, {}), (EVERYTHING, {"r00": ["r01"], "r02": ["r03", "r04"]})],
    ids=["fixed", "adaptive", "variants"],
)
def test_a_resumed_run_ends_with_the_same_bits(
    config: LoopConfig,
    variants: dict[str, list[str]],
    stop_at: int,
    tiny_policy: Path,
    rows: dict[str, TokenRow],
    tmp_path: Path,
) -> None:
    make = functools.partial(make_loop, tiny_policy, rows, config, dropout=0.1, variants=variants)
    undisturbed, engine = make()
    expected = train(undisturbed)
    weights = {name: tensor.clone() for name, tensor in engine.weights().items()}

    first, engine = make()
    before = train(first, steps=stop_at)
    engine.save(tmp_path)
    state = json.loads(json.dumps(first.state_dict()))

    second, engine = make()
    torch.rand(7)  # whatever the process drew before
    engine.load(tmp_path)
    second.load_state_dict(state)
    after = train(second)
    assert before + after == expected
    found = engine.weights()
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert train(second) == []  # past the last step there is nothing to do


def test_every_epoch_shows_every_row_once(rows: dict[str, TokenRow], tiny_policy: Path) -> None:
    loop, _ = make_loop(tiny_policy, rows, replace(EVERYTHING, batch=5))
    figures = train(loop)
    assert [f["train/rows"] for f in figures] == [5, 5, 2] * 2
    assert loop.total_steps == len(figures)
    assert figures[-1]["train/epoch"] == 2


@pytest.mark.parametrize("setting", [{"tokens_per_microbatch": 40}, {"packing": False}])
def test_losses_and_weights_do_not_depend_on_the_split_nor_on_packing(
    setting: dict[str, Any], tiny_policy: Path, rows: dict[str, TokenRow]
) -> None:
    config = replace(EVERYTHING, batch=6, optim=replace(OPTIM, tokens_per_microbatch=10_000, eps=1e-3))
    whole, engine = make_loop(tiny_policy, rows, config)
    expected = train(whole)
    parts, other = make_loop(tiny_policy, rows, config, **setting)
    found = train(parts)
    assert found[0]["train/microbatches"] > expected[0]["train/microbatches"] == 1
    for one, two in zip(found, expected, strict=True):
        assert one["train/loss"] == pytest.approx(two["train/loss"], rel=1e-5)
        assert one["optim/grad_norm"] == pytest.approx(two["optim/grad_norm"], rel=1e-4)
    for name, tensor in engine.weights().items():
        torch.testing.assert_close(other.weights()[name], tensor, rtol=1e-4, atol=1e-6)


def test_patience_ends_the_run_and_the_best_is_told(tiny_policy: Path, rows: dict[str, TokenRow]) -> None:
    config = replace(EVERYTHING, batch=1, evaluate_every=2, patience=2)
    loop, _ = make_loop(tiny_policy, rows, config)
    losses = iter([3.0, 2.0, 2.5, 2.0, 1.0])
    best: list[int] = []
    figures = train(
        loop, evaluate=lambda step: {VALIDATION_LOSS: Last(next(losses))}, on_best=lambda step: best.append(step)
    )
    assert len(figures) == 8  # evaluations after 2, 4, 6 and 8: the last two were no better
    assert best == [2, 4]
    assert loop.finished


def test_adaptive_accumulation_measures_noise_and_stays_in_its_limits(
    tiny_policy: Path, rows: dict[str, TokenRow]
) -> None:
    loop, _ = make_loop(tiny_policy, rows, ADAPTIVE)
    figures = train(loop)
    assert any("optim/noise_scale" in f for f in figures)
    assert {2.0, 3.0, 4.0} >= {f["optim/next_microbatches"] for f in figures}
    assert sum(f["train/rows"] for f in figures) == 36


def test_other_rows_are_refused_on_resume(tiny_policy: Path, rows: dict[str, TokenRow]) -> None:
    loop, _ = make_loop(tiny_policy, rows, EVERYTHING)
    state = loop.state_dict()
    del rows["r03"]
    other, _ = make_loop(tiny_policy, rows, EVERYTHING)
    with pytest.raises(CheckpointError, match=r"made with other rows: 12 .*; these are 11"):
        other.load_state_dict(state)


def test_a_loss_that_is_not_finite_is_an_error(tiny_policy: Path, rows: dict[str, TokenRow]) -> None:
    loop, engine = make_loop(tiny_policy, rows, EVERYTHING)
    with torch.no_grad():
        next(engine.module.parameters()).fill_(float("nan"))
    with pytest.raises(DivergenceError, match="loss of step 1 is nan"):
        train(loop)
