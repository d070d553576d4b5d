"""What a person sees while a corpus is made: a bar for each stage in a terminal, a line now and then elsewhere."""

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_SECONDS = 5.0
"""Between two lines of one stage, outside a terminal."""


class Watch:
    """Progress of a corpus job, by stage. Called after each piece."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._tasks: dict[str, TaskID] = {}
        self._rows = 0
        self._started = self._told = time.monotonic()
        columns = (TextColumn("{task.description:9}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                   TextColumn("{task.fields[note]}", style="dim"))  # fmt: skip
        self._progress = Progress(*columns, console=self._console) if self._console.is_terminal else None

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, stage: str, done: int, total: int, result: dict[str, Any]) -> None:
        self._rows += result.get("rows_read", 0)
        note = f"{self._rows:,} rows, {self._rows / max(time.monotonic() - self._started, 1e-9):,.0f}/s"
        if self._progress is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._progress.add_task(stage, total=total, note="")
            self._progress.update(self._tasks[stage], completed=done, note=note if stage == "read" else "")
        elif done == total or time.monotonic() - self._told >= _SECONDS:
            self._told = time.monotonic()
            text = f"{stage} {done}/{total}" + (f" | {note}" if stage == "read" else "")
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)
