"""What a recipe is: a name, where its artifacts run, and how one is made."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1ray.quantize.bench import Bench
from r1ray.quantize.compress import compress, linear_layers
from r1ray.quantize.scheme import Scheme, SchemePlan

ANYWHERE, VLLM, OPENVINO, LLAMA_CPP = "transformers", "vllm", "openvino", "llama.cpp"


@dataclass(frozen=True, kw_only=True)
class Built:
    """An artifact as a recipe left it, not yet examined."""

    model: Path
    """A Hugging Face folder, or a GGUF file."""
    plan: SchemePlan | None = None
    """Formats by layer, where a repair can widen them."""
    method: str = ""
    """How the weights were rounded, for a repair to do the same."""
    details: dict[str, Any] = field(default_factory=dict)
    """For the manifest."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to make a model smaller."""

    name: str
    summary: str
    runs_on: tuple[str, ...]
    build: Callable[[Bench, Path], Built]
    """Makes the artifact in the folder."""


def compressed(bench: Bench, out: Path, plan: SchemePlan, method: str, network: Any = None) -> Built:
    """The parent (or `network`), stored by the plan as compressed tensors."""
    settings = bench.config.quantize
    network = bench.network() if network is None else network
    compress(
        network,  # llm-compressor finds a GPU by itself
        bench.tokenizer,
        plan,
        out,
        method=method,
        rows=bench.calibration(method),
        dtype=settings.dtype,
    )
    counts = dict(Counter(scheme.name for scheme in plan.schemes.values()))
    return Built(model=out, plan=plan, method=method, details={"layers": counts, "group": settings.group})


def uniform(network: Any, scheme: Scheme) -> SchemePlan:
    """Every linear layer but the head in one format."""
    return SchemePlan(schemes=dict.fromkeys(linear_layers(network), scheme))


def feed_forward_and_attention(network: Any, feed_forward: Scheme, attention: Scheme) -> SchemePlan:
    """One format below `mlp`, another one elsewhere."""
    return SchemePlan(schemes={name: feed_forward if ".mlp." in name else attention for name in linear_layers(network)})
