"""What a synthesizing run has finished, on disk: whole generations, and batches of the one that is under way.

    generation-01.jsonl            written aside and renamed: whole or absent
    generation-02.partial.jsonl    a line a batch, flushed to the disk; half of a last line is cut off

Lines are ASCII, whatever a teacher wrote. The first one is a header with the run's key, so that no run goes on with
another's rows.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from r1ray.errors import DataError
from r1ray.runs.files import fsync

Batch = dict[str, Any]
"""What one batch came to: its `batch` number, `rows`, and counts by reason under `rejected`."""


class Journal:
    """One run's folder.

    Args:
        folder: made if it is not there.
        key: of configuration, seeds and teacher.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder, self._key = folder, key
        folder.mkdir(parents=True, exist_ok=True)

    def finished(self, generation: int) -> list[Batch] | None:
        """All batches of a generation, or None where it is not whole.

        Raises:
            DataError: the folder is another run's.
        """
        path = self._whole(generation)
        return self._read(path, generation) if path.is_file() else None

    def begun(self, generation: int) -> list[Batch]:
        """The finished batches of a generation that was broken off, in order; later ones are appended behind them."""
        path = self._partial(generation)
        if not path.is_file():
            self._append(path, self._header(generation))
            fsync(self._folder)
            return []
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with path.open("r+b") as file:
                file.truncate(len(whole))
        if not whole:
            self._append(path, self._header(generation))
            return []
        return self._read(path, generation)

    def write(self, generation: int, batch: Batch) -> None:
        """One more finished batch."""
        self._append(self._partial(generation), batch)

    def finish(self, generation: int) -> None:
        """The generation is whole."""
        self._partial(generation).replace(self._whole(generation))
        fsync(self._folder)

    def _read(self, path: Path, generation: int) -> list[Batch]:
        header, *batches = map(json.loads, path.read_text(encoding="ascii").splitlines())
        if header != self._header(generation):
            raise DataError(
                f"{path} was written by a run with other settings, seeds or teacher (key {header.get('key')}, this run "
                f"has {self._key}). Choose another folder, or remove this one."
            )
        return batches

    def _header(self, generation: int) -> dict[str, Any]:
        return {"generation": generation, "key": self._key}

    def _append(self, path: Path, line: Mapping[str, Any]) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _whole(self, generation: int) -> Path:
        return self._folder / f"generation-{generation:02d}.jsonl"

    def _partial(self, generation: int) -> Path:
        return self._folder / f"generation-{generation:02d}.partial.jsonl"


def rows_of(batches: Sequence[Batch]) -> list[dict[str, Any]]:
    """The rows of batches, in order."""
    return [row for batch in batches for row in batch["rows"]]
