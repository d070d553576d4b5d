"""Cleaning of one row: repaired fields, and the first reason against keeping it."""

from collections.abc import Mapping, Sequence
from typing import Any

from r1ray.config.corpus import CleanConfig
from r1ray.data.clean.language import judge_language
from r1ray.data.clean.quality import judge
from r1ray.data.clean.repair import repair_row
from r1ray.data.verdict import Drop


def clean_row(row: Mapping[str, Any], fields: Sequence[str], config: CleanConfig) -> tuple[dict[str, Any], Drop | None]:
    """The row with its text fields repaired, and why it is dropped (`None` = it is kept).

    Args:
        row: of any fields.
        fields: names of the fields that hold text; those that the row lacks are passed over.
        config: what is repaired and what is asked of a row.
    """
    repaired = repair_row(row, fields) if config.repair else dict(row)
    text = text_of(repaired, fields)
    return repaired, judge(text, config.profile) or judge_language(text, config.languages, config.language_score)


def text_of(row: Mapping[str, Any], fields: Sequence[str]) -> str:
    """The row's text fields, one below the other."""
    return "\n".join(value for name in fields if isinstance(value := row.get(name), str) and value)
