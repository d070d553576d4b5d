"""Figures of one model for the gate: answers to the held-out problems, distributions beside the parent's, footprint."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from r1ray.config.policy import LoraConfig
from r1ray.errors import ModelError
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.generation.factory import make_engine
from r1ray.models.gguf import convert_gguf
from r1ray.quantize.bench import Bench
from r1ray.quantize.distributions import Divergence, compare
from r1ray.quantize.gate import Examined, Footprint
from r1ray.quantize.measure import measure
from r1ray.train.examine import examine

WEIGHTS = (".safetensors", ".gguf", ".bin")
"""Files that count as the model's size: config and tokenizer are the same in every format."""


def examine_model(bench: Bench, model: Path) -> Examined:
    """A model on the gate's problems, and in a process of its own."""
    with opened(model) as folder:
        return _examine(bench, model, folder)


def examine_beside_parent(bench: Bench, model: Path) -> tuple[Examined, Divergence]:
    """The same, and how far its distributions are from the parent's on held-out solutions."""
    with opened(model) as folder:
        examined = _examine(bench, model, folder)
        bench.note("next-token distributions")
        parent, child = (bench.network(path).to(bench.device) for path in (bench.parent, folder))
    return examined, compare(parent, child, bench.solutions(bench.config.gate.rows))


def _examine(bench: Bench, model: Path, folder: Path) -> Examined:
    config = bench.config
    policy = replace(config.policy, path=str(folder), lora=LoraConfig(), gradient_checkpointing=False)
    engine = make_engine(config.engine, policy, bench.device)
    bench.note(f"{len(bench.heldout)} held-out problems")
    result = examine(engine, bench.prompt, bench.heldout, config)
    prompts = [bench.prompt(problem) for problem in bench.heldout[: config.gate.texts]]
    texts: tuple[str, ...] = ()
    if prompts:
        params = SamplingParams(max_new_tokens=config.gate.speed_tokens, temperature=0.0)
        answers = engine.generate([Prompt(token_ids=ids) for ids in prompts], params)
        texts = tuple(_text(bench, answer[0].token_ids) for answer in answers)
    del engine
    return Examined(
        correct=tuple(result.correct),
        bytes=weight_bytes(model),
        footprint=_footprint(bench, model, prompts) if prompts else None,
        engine_texts=texts,
    )


@contextlib.contextmanager
def opened(model: Path) -> Iterator[Path]:
    """A Hugging Face folder with the model's weights; of a GGUF file, one with its numbers that is gone afterwards."""
    if model.is_dir():
        yield model
        return
    with tempfile.TemporaryDirectory(dir=model.parent, prefix=".opened-") as temporary:
        convert_gguf(model, Path(temporary) / "model")
        yield Path(temporary) / "model"


def weight_bytes(model: Path) -> int:
    """Bytes of a model's weights on disk."""
    files = [model] if model.is_file() else [file for file in model.iterdir() if file.suffix in WEIGHTS]
    if not files:
        raise ModelError(f"{model} holds no weights: expected {', '.join(WEIGHTS)}.")
    return sum(file.stat().st_size for file in files)


def _footprint(bench: Bench, model: Path, prompts: list[list[int]]) -> Footprint:
    bench.note("a fresh process loads it")
    found = measure(
        model,
        prompts,
        tokens=bench.config.gate.speed_tokens,
        end=[int(bench.tokenizer.eos_token_id)],
        device=bench.device.type,
        dtype=bench.config.policy.dtype,
        threads=bench.config.resources.threads,
    )
    return Footprint(
        resident=int(found["resident"]),
        tokens_per_s=float(found["tokens_per_s"]),
        texts=tuple(_text(bench, ids) for ids in found["token_ids"]),
    )


def _text(bench: Bench, ids: list[int]) -> str:
    return str(bench.tokenizer.decode(ids, skip_special_tokens=True))
