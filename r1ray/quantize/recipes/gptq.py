"""gptq-w4a16: 4-bit weights, each column's error made good in the columns after it (arXiv 2210.17323)."""

from pathlib import Path

from r1ray.quantize.bench import Bench
from r1ray.quantize.recipe import ANYWHERE, VLLM, Built, Recipe, compressed, uniform
from r1ray.quantize.scheme import int4


def _build(bench: Bench, out: Path) -> Built:
    network = bench.network()
    return compressed(bench, out, uniform(network, int4(bench.config.quantize.group)), "gptq", network)


RECIPE = Recipe(name="gptq-w4a16", summary="W4A16 by GPTQ", runs_on=(ANYWHERE, VLLM), build=_build)
