"""awq-w4a16: 4-bit weights with zero points, channels scaled by what their activations weigh (arXiv 2306.00978)."""

from pathlib import Path

from r1ray.quantize.bench import Bench
from r1ray.quantize.recipe import ANYWHERE, VLLM, Built, Recipe, compressed, uniform
from r1ray.quantize.scheme import int4


def _build(bench: Bench, out: Path) -> Built:
    network = bench.network()
    plan = uniform(network, int4(bench.config.quantize.group, symmetric=False))
    return compressed(bench, out, plan, "awq", network)


RECIPE = Recipe(name="awq-w4a16", summary="W4A16 by AWQ, asymmetric", runs_on=(ANYWHERE, VLLM), build=_build)
