"""What happens to rows a batch at a time, before they meet each other: clean, classify, decontaminate, mask, label."""

import functools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from r1ray.config.corpus import DecontaminateConfig
from r1ray.config.jobs import CorpusJobConfig
from r1ray.data.classify.domain import domains_of, judge_domain
from r1ray.data.classify.noise import judge_noise
from r1ray.data.clean.language import identify
from r1ray.data.clean.rows import clean_row
from r1ray.data.corpus.rows import Row, finish_row, joined
from r1ray.data.corpus.tiers import judge_tier
from r1ray.data.decontaminate import EvaluationIndex, find_leaks, index_problems
from r1ray.data.files import expand, is_local, read_rows
from r1ray.data.privacy.masking import mask_row
from r1ray.data.privacy.names import extra_detectors
from r1ray.data.sources import QUESTION_FIELDS
from r1ray.data.verdict import Drop
from r1ray.errors import DataError


@dataclass(kw_only=True, slots=True)
class Prepared:
    """A batch after its steps."""

    rows: list[Row] = field(default_factory=list)
    """Those that are left, finished, in their order."""
    dropped: list[tuple[Row, Drop]] = field(default_factory=list)
    masked: Counter[str] = field(default_factory=Counter)
    """Places masked, by kind."""
    examples: dict[str, tuple[str, str]] = field(default_factory=dict)
    """What a step changed, by step: a row's text before and after."""


def prepare(rows: Sequence[Row], config: CorpusJobConfig) -> Prepared:
    """Rows of the schema through every step that needs no other row."""
    result = Prepared()
    fields = config.corpus.text_fields
    cleaned: list[Row] = []
    for row in rows:
        after, drop = clean_row(row, fields, config.clean)
        if drop is not None:
            result.dropped.append((row, drop))
            continue
        _note(result, "repair", row, after, fields)
        cleaned.append(after)
    texts = [joined(row, fields) for row in cleaned]
    verdicts = _judge(texts, cleaned, config)
    for row, text, drop in zip(cleaned, texts, verdicts, strict=True):
        if drop is not None:
            result.dropped.append((row, drop))
            continue
        masked, counts = mask(row, config)
        if counts:
            result.masked.update(counts)
            _note(result, "mask", row, masked, fields)
        result.rows.append(_label(masked, text, config))
    return result


def mask(row: Row, config: CorpusJobConfig) -> tuple[Row, dict[str, int]]:
    """The row without what is private, and the number of places by kind."""
    return mask_row(row, config.corpus.text_fields, config.privacy, extra=extra_detectors(config.privacy))


def _judge(texts: Sequence[str], rows: Sequence[Row], config: CorpusJobConfig) -> list[Drop | None]:
    """Why each text goes, if it does: noise, a domain that is not kept, an evaluation problem. Notes the domains."""
    found: list[Drop | None] = [None] * len(texts)
    judges = [judge_noise(texts, config.noise)]
    if config.domain.enabled:
        domains = domains_of(texts, config.domain)
        judges.append([judge_domain(domain, config.domain) for domain in domains])
        for row, domain in zip(rows, domains, strict=True):
            row["domain"] = domain.name
    if config.decontaminate.against:
        judges.append(find_leaks(texts, evaluation_index(config.decontaminate)))
    for verdicts in judges:
        found = [one or other for one, other in zip(found, verdicts, strict=True)]
    return found


def _label(row: Row, text: str, config: CorpusJobConfig) -> Row:
    model = "noise classifier" if config.noise.enabled else ""
    tier, word = judge_tier(row, checked=True, model=model)
    provenance = {**row["provenance"], "tier_by": word}
    row = {**row, "tier": tier, "provenance": provenance, "language": identify(text).code}
    return finish_row(row, config.corpus.text_fields)


def _note(result: Prepared, step: str, before: Row, after: Row, fields: Sequence[str]) -> None:
    if step not in result.examples and (old := joined(before, fields)) != (new := joined(after, fields)):
        place = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        begin = max(0, place - 80)
        result.examples[step] = (old[begin : place + 160], new[begin : place + 160])


def evaluation_index(config: DecontaminateConfig) -> EvaluationIndex:
    """The evaluation problems' n-grams, built once in each process, and again when a file has changed.

    Raises:
        DataError: a file matches nothing or has no question.
    """
    files = [file for path in config.against for file in expand(path)]
    stamps = [os.stat(file).st_mtime_ns if is_local(file) else 0 for file in files]
    return _build_index(config, tuple(zip(files, stamps, strict=True)))


@functools.lru_cache(maxsize=2)
def _build_index(config: DecontaminateConfig, files: tuple[tuple[str, int], ...]) -> EvaluationIndex:
    texts, names = [], []
    for file, _ in files:
        for raw in read_rows(file):
            question = next((raw.fields[name] for name in QUESTION_FIELDS if raw.fields.get(name)), None)
            if isinstance(question, str):
                texts.append(question)
                names.append(f"{file.rpartition('/')[2]}:{raw.line}")
    if not texts:
        raise DataError(f"decontaminate.against {', '.join(config.against)} has no row with `question` or `problem`.")
    return index_problems(texts, names, config)
