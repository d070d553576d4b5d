"""int8: weights in 8 bits a channel, activations rounded token by token while they flow."""

from pathlib import Path

from r1ray.quantize.bench import Bench
from r1ray.quantize.recipe import ANYWHERE, VLLM, Built, Recipe, compressed, uniform
from r1ray.quantize.scheme import INT8, INT8_ASYMMETRIC, Scheme


def _build(bench: Bench, out: Path, scheme: Scheme) -> Built:
    network = bench.network()
    return compressed(bench, out, uniform(network, scheme), "rtn", network)


SYMMETRIC = Recipe(
    name="int8",
    summary="W8A8, symmetric per channel and token",
    runs_on=(ANYWHERE, VLLM),
    build=lambda bench, out: _build(bench, out, INT8),
)
ASYMMETRIC = Recipe(
    name="int8-asymmetric",
    summary="W8A8 with zero points on both sides",
    runs_on=(ANYWHERE,),  # vLLM's kernels take zero points of activations only
    build=lambda bench, out: _build(bench, out, INT8_ASYMMETRIC),
)
