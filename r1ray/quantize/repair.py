"""What is tried when the gate says no: wider formats for the most sensitive blocks, or training on what was lost."""

import math
from collections.abc import Mapping
from pathlib import Path

from r1ray.data.encoding import TokenRow
from r1ray.quantize.bench import Bench
from r1ray.quantize.gate import Examined
from r1ray.quantize.recipe import Built, compressed
from r1ray.quantize.recipes import gguf, qat
from r1ray.quantize.scheme import INT8


def widen(bench: Bench, built: Built, sensitivity: Mapping[str, float], number: int, out: Path) -> Built:
    """The artifact again, its most sensitive blocks in the next wider format; each repair widens twice as many."""
    assert built.plan is not None
    share = min(1.0, bench.config.quantize.repair_share * 2 ** (number - 1))
    blocks = list(sensitivity)[: math.ceil(share * len(sensitivity))]
    bench.note(f"repair {number}: wider formats for {len(blocks)} of {len(sensitivity)} blocks")
    if built.method == "gguf":
        again = gguf.write_plan(bench, out, built.plan.widened(blocks, gguf.EIGHT))
    elif built.method == "qat":
        again = qat.train_under(bench, out, built.plan.widened(blocks, INT8))
    else:
        again = compressed(bench, out, built.plan.widened(blocks, INT8), built.method)
    return Built(model=again.model, plan=again.plan, method=built.method, details=again.details | {"widened": blocks})


def finetune(bench: Bench, built: Built, parent: Examined, child: Examined, out: Path) -> Built:
    """The parent trained under the artifact's formats, on rows like the problems that were lost: those of the families
    that lost the most."""
    assert built.plan is not None
    lost = [
        problem.family
        for problem, before, after in zip(bench.heldout, parent.correct, child.correct, strict=True)
        if before and not after
    ]
    families = {family for family in set(lost) if lost.count(family) >= len(lost) / max(1, len(set(lost)))}
    names = {problem.id: problem.family for problem in bench.problems.train}
    bench.note(f"repair by training on {', '.join(sorted(families)) or 'all rows'}")
    chosen = bench.rows_of({identity for identity, family in names.items() if family in families})

    def choose(name: str, row: TokenRow) -> bool:
        return not chosen or name in chosen

    return qat.train_under(bench, out, built.plan, choose)
