"""Pieces of finished work that are whole or absent: a job killed anywhere goes on with what is there.

<work>/<stage>/000007/    files of unit 7, and its result.json
"""

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULT = "result.json"


@dataclass(frozen=True, slots=True)
class Pieces:
    """The unfinished work of one plan. Several processes may write the same piece: the first one stays."""

    root: Path

    def folder(self, stage: str, unit: int = 0) -> Path:
        """Where a piece lies, or will."""
        return self.root / stage / f"{unit:06d}"

    def is_done(self, stage: str, unit: int = 0) -> bool:
        """Whether a piece is there."""
        return self.folder(stage, unit).is_dir()

    def result(self, stage: str, unit: int = 0) -> dict[str, Any]:
        """What a piece says about itself."""
        data: dict[str, Any] = json.loads((self.folder(stage, unit) / RESULT).read_text(encoding="utf-8"))
        return data

    @contextlib.contextmanager
    def writing(self, stage: str, unit: int = 0) -> Iterator[Path]:
        """A folder to write into, which becomes the piece at once when the block ends well."""
        final = self.folder(stage, unit)
        temporary = final.with_name(f".{final.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
        temporary.mkdir(parents=True)
        try:
            yield temporary
            with contextlib.suppress(OSError):  # another process has finished the same piece
                temporary.rename(final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def save_result(self, folder: Path, result: dict[str, Any]) -> dict[str, Any]:
        """Write a piece's result into the folder that `writing` gave."""
        (folder / RESULT).write_text(json.dumps(result), encoding="utf-8")
        return result
