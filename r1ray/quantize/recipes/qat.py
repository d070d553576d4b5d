"""qat-*: some steps of training under fake quantization, with the parent's distributions as labels, before rounding.

The grid that is trained under is the one that is written.
"""

from collections.abc import Callable
from pathlib import Path

from r1ray.data.encoding import TokenRow
from r1ray.quantize.bench import Bench
from r1ray.quantize.fake import fake_quantized
from r1ray.quantize.recipe import ANYWHERE, VLLM, Built, Recipe, compressed, uniform
from r1ray.quantize.scheme import INT8, SchemePlan, int4
from r1ray.quantize.training import learn_from_parent


def train_under(
    bench: Bench, out: Path, plan: SchemePlan, choose: Callable[[str, TokenRow], bool] | None = None
) -> Built:
    """Train the parent under a plan, on the rows that are chosen, and store it so."""
    student, steps = bench.network(), bench.config.recovery.steps
    with fake_quantized(student, plan.schemes):
        losses = learn_from_parent(bench, student, steps=steps, what="training under quantization", choose=choose)
    built = compressed(bench, out, plan, "rtn", student)
    return Built(model=out, plan=plan, method="qat", details=built.details | {"losses": losses})


def _int8(bench: Bench, out: Path) -> Built:
    return train_under(bench, out, uniform(bench.network(), INT8))


def _int4(bench: Bench, out: Path) -> Built:
    return train_under(bench, out, uniform(bench.network(), int4(bench.config.quantize.group)))


INT8_RECIPE = Recipe(
    name="qat-int8", summary="W8A8, trained under fake quantization", runs_on=(ANYWHERE, VLLM), build=_int8
)
INT4_RECIPE = Recipe(
    name="qat-int4", summary="W4A16, trained under fake quantization", runs_on=(ANYWHERE, VLLM), build=_int4
)
