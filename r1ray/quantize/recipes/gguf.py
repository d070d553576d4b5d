"""gguf-*: one file, which `jobs/serve.py` multiplies as it is by OpenVINO's kernels, and which llama.cpp reads."""

from pathlib import Path

from r1ray.models.gguf_writer import GgufScheme, write_gguf
from r1ray.models.rounding import Grid
from r1ray.quantize.bench import Bench
from r1ray.quantize.compress import linear_layers
from r1ray.quantize.recipe import ANYWHERE, LLAMA_CPP, OPENVINO, Built, Recipe
from r1ray.quantize.scheme import Scheme, SchemePlan

FILE = "model.gguf"
BLOCK = 32
"""Weights that share a scale, in all of GGUF's plain formats."""
EIGHT, FOUR, FOUR_WITH_MINIMUM = (
    Scheme(weights=Grid(bits=8, group=BLOCK)),
    Scheme(weights=Grid(bits=4, group=BLOCK)),
    Scheme(weights=Grid(bits=4, group=BLOCK, symmetric=False)),
)
FORMATS = {EIGHT: "q8_0", FOUR: "q4_0", FOUR_WITH_MINIMUM: "q4_1"}
"""As grids they are near enough to tell which block is sensitive; the file has the formats themselves."""


def write_plan(bench: Bench, out: Path, plan: SchemePlan) -> Built:
    """The parent as a GGUF file, each matrix as the plan has it, float16 where it has none."""
    overrides = tuple((name, FORMATS[scheme]) for name, scheme in plan.schemes.items())
    formats = write_gguf(bench.parent, out / FILE, GgufScheme(linear="f16", embedding="q8_0", overrides=overrides))
    bench.tokenizer.save_pretrained(out)  # transformers' own reader of GGUF tokenizers forgets digit splitting
    counts = {kind: list(formats.values()).count(kind) for kind in sorted(set(formats.values()))}
    return Built(model=out / FILE, plan=plan, method="gguf", details={"matrices": counts})


def _recipe(name: str, summary: str, feed_forward: Scheme, attention: Scheme) -> Recipe:
    def build(bench: Bench, out: Path) -> Built:
        names = linear_layers(bench.network())
        schemes = {name: feed_forward if ".mlp." in name else attention for name in names}
        return write_plan(bench, out, SchemePlan(schemes=schemes))

    return Recipe(name=name, summary=summary, runs_on=(OPENVINO, LLAMA_CPP, ANYWHERE), build=build)


Q8_0 = _recipe("gguf-q8_0", "GGUF, 8 bits, blocks of 32", EIGHT, EIGHT)
Q4_1 = _recipe("gguf-q4_1", "GGUF, 4 bits with a minimum, 8-bit embedding", FOUR_WITH_MINIMUM, FOUR_WITH_MINIMUM)
Q4_0 = _recipe("gguf-q4_0", "GGUF, 4 bits, 8-bit embedding", FOUR, FOUR)
MIXED = _recipe("gguf-mixed", "GGUF, feed-forward 4 bits, attention and embedding 8", FOUR, EIGHT)
