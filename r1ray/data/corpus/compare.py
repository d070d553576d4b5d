"""What changed between two versions of a corpus: rows by name, settings, counts; a shard at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq

from r1ray.data.files import expand
from r1ray.data.versions import read_manifest

_EXAMPLES = 5
_SHOWN = 160


@dataclass(kw_only=True, slots=True)
class Difference:
    """From a version `before` to a version `after`."""

    before: str
    after: str
    """Content hashes."""
    same: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    """Rows of the same text whose other columns differ: tier, domain, provenance …"""
    examples: dict[str, list[str]] = field(default_factory=dict)
    """By kind: how the first few rows begin."""
    settings: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """Settings that differ, by dotted name."""
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Rows read, kept, quarantined and dropped, and tiers, where they differ."""


def compare(before: str, after: str) -> Difference:
    """Compare two corpora, each a folder or `folder@hash`. Both are read once, in the order of their ids.

    Raises:
        DataError: one is no corpus.
    """
    old, new = read_manifest(before), read_manifest(after)
    found = Difference(before=old["content_hash"], after=new["content_hash"])
    found.settings = _differing(_flat(old["config"]), _flat(new["config"]), None)
    found.counts = _differing(_counts(old), _counts(new), 0)
    if found.before == found.after:
        found.same = new["rows"]
        return found
    for one, other in _side_by_side(_rows(before), _rows(after)):
        if one is None:
            found.added += 1
            _show(found, "added", other)
        elif other is None:
            found.removed += 1
            _show(found, "removed", one)
        elif one != other:
            found.changed += 1
            _show(found, "changed", other)
        else:
            found.same += 1
    return found


def _rows(corpus: str) -> Iterator[dict[str, Any]]:
    """All rows, ascending by id: shards are ranges of it."""
    for shard in expand(corpus, (".parquet",)):
        for batch in pq.ParquetFile(shard).iter_batches(batch_size=1000):
            yield from batch.to_pylist()


def _side_by_side(
    old: Iterator[dict[str, Any]], new: Iterator[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    """Rows of two ascending streams, those of the same id together."""
    one, other = next(old, None), next(new, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one["id"] < other["id"]):
            yield one, None
            one = next(old, None)
        elif one is None or other["id"] < one["id"]:
            yield None, other
            other = next(new, None)
        else:
            yield one, other
            one, other = next(old, None), next(new, None)


def _show(found: Difference, kind: str, row: dict[str, Any] | None) -> None:
    examples = found.examples.setdefault(kind, [])
    if row is not None and len(examples) < _EXAMPLES:
        examples.append(f"{row['id']} {' '.join((row['question'] or row['text']).split())[:_SHOWN]}")


def _counts(manifest: Mapping[str, Any]) -> dict[str, int]:
    funnel = manifest["funnel"]
    counts = {"rows read": funnel["rows_in"], "rows kept": funnel["kept"]}
    counts |= {f"quarantined: {reason}": count for reason, count in funnel["quarantined"].items()}
    counts |= {f"{stage}: {reason}": n for stage, reasons in funnel["dropped"].items() for reason, n in reasons.items()}
    return counts | {f"tier {tier}": count for tier, count in manifest["tiers"].items()}


def _differing(old: Mapping[str, Any], new: Mapping[str, Any], missing: Any) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys([*old, *new])
    pairs = {name: (old.get(name, missing), new.get(name, missing)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in data.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat
