"""Monte-Carlo outcomes by the hash of their prefix, in a JSONL file that outlives a killed run."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1ray.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of the completions of one prefix."""

    right: int
    samples: int


def prefix_key(parts: Mapping[str, Any]) -> str:
    """Thirty-two hexadecimal digits that name everything an outcome depends on (JSON-able, in any order)."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class PrefixCache:
    """A dictionary whose additions are on disk when `add` returns.

    One process writes a file at a time. A last line that a killed run left unfinished is cut off when the file is
    opened again; its outcome is sampled anew.
    """

    def __init__(self, path: Path | None = None) -> None:
        """
        Args:
            path: the file, created with its folder if missing; None = keep nothing.

        Raises:
            DataError: a line other than the last is damaged.
        """
        self._path = path
        self._outcomes: dict[str, Outcome] = {}
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                self._read(path)

    def __len__(self) -> int:
        return len(self._outcomes)

    def get(self, key: str) -> Outcome | None:
        """The outcome, if it is known."""
        return self._outcomes.get(key)

    def add(self, outcomes: Mapping[str, Outcome]) -> None:
        """Remember outcomes, in one write that is flushed to the disk."""
        self._outcomes.update(outcomes)
        if self._path is None or not outcomes:
            return
        lines = [
            json.dumps({"key": key, "right": outcome.right, "samples": outcome.samples}) + "\n"
            for key, outcome in outcomes.items()
        ]
        with open(self._path, "a", encoding="ascii") as stream:
            stream.write("".join(lines))
            stream.flush()
            os.fsync(stream.fileno())

    def _read(self, path: Path) -> None:
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1  # what follows the last newline was never finished
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                fields = json.loads(line)
                self._outcomes[fields["key"]] = Outcome(right=int(fields["right"]), samples=int(fields["samples"]))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"{path}:{number} is damaged ({type(error).__name__}: {error}). Remove the line to have its prefix "
                    "sampled again, or the file to begin anew."
                ) from error
        if whole < len(content):
            os.truncate(path, whole)
