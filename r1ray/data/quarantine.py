"""Bad rows are set aside with a reason, and the books balance: rows in = kept + quarantined + duplicates + leaked."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from r1ray.errors import DataError

EXCERPT = 200
"""Characters of a bad row that are kept for the report."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuarantinedRow:
    """A row that cannot be used, and why."""

    file: str
    """Path or URI; `story:2-3` and the like for a generated problem."""
    line: int
    """Counted from 1; row number in a parquet file; 0 = the file as a whole, or unknown."""
    reason: str
    """Short and the same for all rows with this trouble, so that it can be counted: `not JSON`, `no answer`."""
    detail: str = ""
    """What was special about this row: the parser's message, the keys it has."""
    excerpt: str = ""
    """Beginning of the row."""

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.file}:{self.line}: {self.reason}{detail}"


@dataclass(frozen=True, kw_only=True, slots=True)
class DataReport:
    """What became of every row. Construction fails where the sum is wrong."""

    rows_in: int
    kept: int
    quarantined: tuple[QuarantinedRow, ...] = ()
    duplicates: int = 0
    """Rows whose normalised question had been seen already."""
    leaked: int = 0
    """Training rows dropped because their question is held out."""

    def __post_init__(self) -> None:
        out = self.kept + len(self.quarantined) + self.duplicates + self.leaked
        if out != self.rows_in:
            raise DataError(
                f"{self.rows_in} rows came in, but {self.kept} kept + {len(self.quarantined)} quarantined + "
                f"{self.duplicates} duplicates + "
                f"{self.leaked} leaked = {out}. Rows must not get lost: this is a bug in the pipeline."
            )

    @property
    def reasons(self) -> dict[str, int]:
        """Quarantined rows by reason, most frequent first."""
        return dict(Counter(row.reason for row in self.quarantined).most_common())

    def to_json(self) -> dict[str, Any]:
        """For the manifest and the HTML report."""
        return {
            "rows_in": self.rows_in,
            "kept": self.kept,
            "quarantined": len(self.quarantined),
            "duplicates": self.duplicates,
            "leaked": self.leaked,
            "reasons": self.reasons,
            "quarantined_rows": [asdict(row) for row in self.quarantined],
        }


def describe(quarantined: Sequence[QuarantinedRow], examples: int = 3) -> str:
    """Reasons with their counts and the first few rows, for an error message."""
    reasons = ", ".join(
        f"{count} × {reason}" for reason, count in Counter(row.reason for row in quarantined).most_common()
    )
    return f"{reasons}. First: " + "; ".join(str(row) for row in quarantined[:examples])
