"""What the report shows, counted piece by piece: figures of pieces add up in any order."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from r1ray.data.corpus.rows import Row, joined
from r1ray.data.quarantine import QuarantinedRow

EXAMPLES = 6
_NAMES = ("language", "domain", "tier", "family", "operator")


@dataclass(kw_only=True, slots=True)
class Figures:
    """Counts and a few examples."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """By name (`tier`, `language`, `length` …), by value."""
    examples: dict[str, list[Any]] = field(default_factory=dict)

    def count(self, name: str, values: Iterable[str]) -> None:
        """Count values under a name."""
        self.counts.setdefault(name, Counter()).update(values)

    def describe(self, rows: Sequence[Row], fields: Sequence[str], prefix: str = "") -> None:
        """Count rows by length, language, domain, tier and family."""
        self.count(prefix + "length", (length_bin(len(joined(row, fields))) for row in rows))
        for name in _NAMES:
            self.count(prefix + name, (row[name] or "–" for row in rows))

    def show(self, name: str, examples: Iterable[Any]) -> None:
        """Keep the first few examples under a name."""
        kept = self.examples.setdefault(name, [])
        kept += list(examples)[: EXAMPLES - len(kept)]

    def show_quarantined(self, rows: Sequence[QuarantinedRow]) -> None:
        """One example of each reason."""
        for row in rows:
            self.show(f"quarantine/{row.reason}", [{"place": f"{row.file}:{row.line}", "detail": row.detail,
                                                    "excerpt": row.excerpt}])  # fmt: skip

    def add(self, other: dict[str, Any]) -> None:
        """Take over another piece's figures, as `to_json` gave them."""
        for name, values in other["counts"].items():
            self.counts.setdefault(name, Counter()).update(values)
        for name, examples in other["examples"].items():
            self.show(name, examples)

    def to_json(self) -> dict[str, Any]:
        """Largest counts first."""
        counts = {name: dict(sorted(values.items(), key=lambda item: (-item[1], item[0])))
                  for name, values in sorted(self.counts.items())}  # fmt: skip
        return {"counts": counts, "examples": dict(sorted(self.examples.items()))}


def length_bin(characters: int) -> str:
    """The power of two that a length is below: `256` for 128 to 255."""
    return str(2 ** math.ceil(math.log2(characters + 1))) if characters else "0"
