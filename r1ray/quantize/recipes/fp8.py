"""fp8: float8 (e4m3) weights a channel and dynamic activations a token, for GPUs that multiply them."""

from pathlib import Path

from r1ray.quantize.bench import Bench
from r1ray.quantize.recipe import ANYWHERE, VLLM, Built, Recipe, compressed, uniform
from r1ray.quantize.scheme import FP8


def _build(bench: Bench, out: Path) -> Built:
    network = bench.network()
    return compressed(bench, out, uniform(network, FP8), "rtn", network)


RECIPE = Recipe(name="fp8", summary="float8 weights and activations", runs_on=(ANYWHERE, VLLM), build=_build)
