"""Loss curves of two ranks at every ZeRO stage are those of one, and one goes on where two have stopped, and back."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from torch.multiprocessing.spawn import spawn

from r1ray.config.optim import OptimConfig
from r1ray.config.sft import AccumulationConfig, ClippingConfig
from r1ray.data.encoding import TokenRow
from r1ray.train.controls import LoopConfig
from r1ray.train.plain import TorchEngine
from r1ray.train.supervised import Example
from tests.train.ranks import Case, Figures, run_case, run_rank

LOSS, NORM = 1e-4, 1e-3
"""Relative tolerances of losses and gradient norms over six steps in float32: sums are made in another order."""

CONFIG = LoopConfig(
    seed=3,
    optim=OptimConfig(lr=3e-3, schedule="cosine", warmup=2, eps=1e-3, tokens_per_microbatch=60),
    batch=5,
    epochs=2,
    clipping=ClippingConfig(kind="history", warmup=2),
)
RESHAPED = (0, 2, 3)
"""Stages whose checkpoints go to another number of ranks; 1 is the same code as 2 in DeepSpeed and here."""
ADAPTIVE = replace(CONFIG, accumulation=AccumulationConfig(kind="adaptive", low=2, high=4, decay=0.5))


def same(found: Figures, expected: Figures) -> None:
    assert len(found) == len(expected) > 0
    for one, two in zip(found, expected, strict=True):
        assert one["train/loss"] == pytest.approx(two["train/loss"], rel=LOSS)
        assert one["optim/grad_norm"] == pytest.approx(two["optim/grad_norm"], rel=NORM)
        assert one["optim/lr"] == pytest.approx(two["optim/lr"])
        assert one["train/rows"] == two["train/rows"]


@pytest.mark.slow
@pytest.mark.usefixtures("one_rank")
def test_curves_are_equal_and_the_number_of_ranks_may_change(
    tiny_policy: Path, examples: list[Example], tmp_path: Path
) -> None:
    policy = str(tiny_policy)
    rows = {
        f"r{n:02}": TokenRow(
            token_ids=e.prompt_ids + e.response_ids,
            response_mask=[False] * len(e.prompt_ids) + [True] * len(e.response_ids),
        )
        for n, e in enumerate(examples)
    }
    curve, _ = run_case(policy, rows, Case("plain", 0, CONFIG), tmp_path, TorchEngine)
    whole = replace(CONFIG, optim=replace(CONFIG.optim, tokens_per_microbatch=10_000))
    same(run_case(policy, rows, Case("whole", 0, whole), tmp_path, TorchEngine)[0], curve)  # accumulation split

    # One rank stops after step 2, in the middle of the first epoch; two go on.
    cases = [Case(f"stage{stage}", stage, CONFIG) for stage in (0, 1, 2, 3)]
    cases.append(Case("adaptive", 2, ADAPTIVE))
    for stage in RESHAPED:
        _, state = run_case(policy, rows, Case(f"one{stage}", stage, CONFIG, steps=2), tmp_path)
        cases.append(Case(f"from_one{stage}", stage, CONFIG, checkpoint=str(tmp_path / f"one{stage}"), state=state))
        cases.append(Case(f"two{stage}", stage, CONFIG, steps=4))
    # Both ranks share each row's tokens; or each matrix, stopped after step 4 and resumed.
    cases += [Case(f"tokens{stage}", stage, CONFIG, sequence=2) for stage in (0, 2)]
    cases.append(Case("matrices", 2, CONFIG, tensor=2, steps=4))
    cases.append(Case("resumed", 2, CONFIG, tensor=2, checkpoint=str(tmp_path / "matrices"), state="matrices"))
    spawn(run_rank, args=(policy, rows, cases, str(tmp_path)), nprocs=2)

    def left_by(name: str) -> tuple[Figures, object]:
        figures, state = pickle.loads((tmp_path / f"{name}.pkl").read_bytes())
        return figures, state

    for stage in (0, 1, 2, 3):
        same(left_by(f"stage{stage}")[0], curve)
    for stage in RESHAPED:
        same(left_by(f"from_one{stage}")[0], curve[2:])
        # Two ranks stopped after step 4, in the second epoch; one goes on.
        _, state = left_by(f"two{stage}")
        case = Case("to_one", stage, CONFIG, checkpoint=str(tmp_path / f"two{stage}"), state=state)
        same(run_case(policy, rows, case, tmp_path)[0], curve[4:])
    same(left_by("tokens0")[0], curve)
    same(left_by("tokens2")[0], curve)
    same(left_by("matrices")[0] + left_by("resumed")[0], curve)
    assert left_by("adaptive")[0][-1]["train/epoch"] == 2
