"""Why a row is not in the corpus, and books that balance: rows in = kept + dropped + quarantined."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from r1ray.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """One row that a stage took out."""

    stage: str
    """`clean`, `dedup`, `decontaminate`: the stage that took it."""
    reason: str
    """Short and the same for all rows with this trouble, so that it can be counted."""
    detail: str = ""
    """What was special about this row: the value that was out of bounds, the id of the row it repeats."""


@dataclass(kw_only=True, slots=True)
class Funnel:
    """Rows in, kept, dropped and quarantined, by stage and reason. Funnels of partitions add up in any order."""

    rows_in: int = 0
    kept: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows by (stage, reason)."""

    def count(self, verdicts: Iterable[Drop | None]) -> None:
        """Book rows that came to the end (`None`) or were dropped."""
        for verdict in verdicts:
            self.rows_in += 1
            if verdict is None:
                self.kept += 1
            else:
                self.dropped[verdict.stage, verdict.reason] += 1

    def quarantine(self, reasons: Iterable[str]) -> None:
        """Book rows that could not be read or understood."""
        for reason in reasons:
            self.rows_in += 1
            self.quarantined[reason] += 1

    def add(self, other: "Funnel") -> None:
        """Take over another partition's books."""
        self.rows_in += other.rows_in
        self.kept += other.kept
        self.quarantined.update(other.quarantined)
        self.dropped.update(other.dropped)

    def check(self, rows_read: int) -> None:
        """Every row that was read is in exactly one place.

        Raises:
            DataError: the sum is wrong.
        """
        out = self.kept + self.dropped.total() + self.quarantined.total()
        if not rows_read == self.rows_in == out:
            raise DataError(
                f"{rows_read} rows were read and {self.rows_in} booked, but {self.kept} kept + {self.dropped.total()} "
                f"dropped + {self.quarantined.total()} quarantined = {out}. Rows must not get lost: this is a bug in "
                "the pipeline."
            )

    def to_json(self) -> dict[str, Any]:
        """For the manifest and the report; largest counts first."""
        stages: dict[str, dict[str, int]] = {}
        for (stage, reason), rows in sorted(self.dropped.items(), key=lambda item: (-item[1], item[0])):
            stages.setdefault(stage, {})[reason] = rows
        quarantined = dict(sorted(self.quarantined.items(), key=lambda item: (-item[1], item[0])))
        return {"rows_in": self.rows_in, "kept": self.kept, "dropped": stages, "quarantined": quarantined}
