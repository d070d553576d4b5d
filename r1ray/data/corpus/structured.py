"""Rows that are more than text (features with a label, a series, a table): JSON in the metadata, and lines to read."""

import json
from collections.abc import Mapping
from typing import Any

_KINDS = ("features", "series", "values", "table")
FIELDS = (*_KINDS, "label", "target", "window_start", "derivation")
"""What the operators `numeric`, `mixing` and `time_window` read and write."""
_HIDDEN = ("window_start", "derivation")
"""Not among the lines: a derivation gives the answer away."""


def structure_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The structured part of a raw row or of a variant; empty where it is text alone."""
    if not any(isinstance(fields.get(kind), Mapping | list) and fields[kind] for kind in _KINDS):
        return {}
    return {name: fields[name] for name in FIELDS if fields.get(name) is not None}


def stored_structure(row: Mapping[str, Any]) -> dict[str, Any]:
    """The structured part of a row of the schema."""
    if not any(f'"{kind}"' in row["metadata"] for kind in _KINDS):
        return {}
    metadata = json.loads(row["metadata"])
    return structure_of({name: json.loads(metadata[name]) for name in FIELDS if name in metadata})


def with_structure(metadata: str, structure: Mapping[str, Any]) -> str:
    """Metadata with this structured part: each entry JSON of its own, since values of metadata are text."""
    rest = {name: value for name, value in json.loads(metadata or "{}").items() if name not in FIELDS}
    return json.dumps({**rest, **{name: json.dumps(value) for name, value in structure.items()}}, sort_keys=True)


def lines_of(structure: Mapping[str, Any]) -> str:
    """The structured part as text, one entry a line."""
    lines: list[str] = []
    for name, value in structure.items():
        if name == "features" and isinstance(value, Mapping):
            lines += [f"{feature} = {_shown(number)}" for feature, number in value.items()]
        elif name == "table" and isinstance(value, list):
            lines += [" | ".join(map(str, cells)) if isinstance(cells, list) else str(cells) for cells in value]
        elif name not in _HIDDEN:
            lines.append(f"{name} = {_shown(value)}")
    return "\n".join(line.strip() for line in lines)  # as repair leaves them


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(_shown, value)) if isinstance(value, list) else str(value)
