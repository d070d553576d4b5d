"""mixed: feed-forward in 4 bits by GPTQ, attention in 8 bits with dynamic activations.

Attention is W8A8 and not W8A16: vLLM's CPU kernels know no 8-bit weights with 16-bit activations.
"""

from pathlib import Path

from r1ray.quantize.bench import Bench
from r1ray.quantize.recipe import ANYWHERE, VLLM, Built, Recipe, compressed, feed_forward_and_attention
from r1ray.quantize.scheme import INT8, int4


def _build(bench: Bench, out: Path) -> Built:
    network = bench.network()
    plan = feed_forward_and_attention(network, int4(bench.config.quantize.group), INT8)
    return compressed(bench, out, plan, "gptq", network)


RECIPE = Recipe(
    name="mixed", summary="feed-forward W4A16, attention W8A8, by GPTQ", runs_on=(ANYWHERE, VLLM), build=_build
)
