"""A small corpus of files with known trouble in it, made in this process."""

import json
from pathlib import Path
from typing import Any

from r1ray.config.classify import DomainConfig, NoiseConfig
from r1ray.config.corpus import CleanConfig, CorpusConfig, DecontaminateConfig, DedupConfig
from r1ray.config.jobs import CorpusJobConfig
from r1ray.data.corpus.job import build_corpus, in_process
from r1ray.data.generators.generate import generate

GROUPS = ("clean", "noise", "domain", "dedup", "decontaminate")


def job(folder: Path, *inputs: str | Path, **corpus: Any) -> CorpusJobConfig:
    """A job over these inputs whose output is `folder/mix`; classifiers are off unless they are given."""
    groups = {name: corpus.pop(name) for name in GROUPS if name in corpus}
    settings = CorpusConfig(output=str(folder / "mix"), input=tuple(map(str, inputs)), **corpus)
    classifiers = {"noise": NoiseConfig(enabled=False), "domain": DomainConfig(enabled=False)}
    return CorpusJobConfig(corpus=settings, **(classifiers | groups))


def make(config: CorpusJobConfig) -> dict[str, Any]:
    """The outcome of a job made in this process."""
    return build_corpus(config, in_process, lambda *_: None)


def problem_lines(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Problems with worked solutions."""
    made = generate(("shop:2-3",), count=count, max_number=30, seed=seed)
    return [{"question": one.question, "solution": one.solution, "answer": one.answer} for one in made]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


__all__ = ["CleanConfig", "DecontaminateConfig", "DedupConfig", "job", "make", "problem_lines", "write_lines"]
