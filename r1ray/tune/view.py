"""What a person sees of a search while it goes: a live table with the incumbent, or one plain line a trial."""

import math
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from r1ray.progress import LiveView

SHOWN = 12
"""Finished trials in the live table: the newest."""


class SearchView(LiveView):
    """The table of a search; a context manager. Rows are those of `Journal.results`."""

    def __init__(
        self, title: str, trials: int, names: Sequence[str], mode: str, console: Console | None = None
    ) -> None:
        super().__init__(console)
        self._title, self._trials, self._names, self._mode = title, trials, list(names), mode
        self._rows: list[Mapping[str, Any]] = []
        self._running: dict[int, Mapping[str, Any]] = {}

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def incumbent(self) -> Mapping[str, Any] | None:
        """The best finished trial."""
        good = [row for row in self._rows if row["result"] is not None]
        return max(good, key=lambda row: float(row["result"]), default=None)

    def started(self, number: int, values: Mapping[str, Any]) -> None:
        """A trial runs."""
        self._running[number] = values
        self._refresh()

    def finished(self, row: Mapping[str, Any], *, quiet: bool = False) -> None:
        """A trial has ended; `quiet`: it did so before this process was there."""
        self._running.pop(row["number"], None)
        before = self.incumbent
        self._rows.append(row)
        if self._live is None and not quiet:
            mark = "  ★ best so far" if self.incumbent is not before else ""
            self.note(f"trial {len(self._rows)}/{self._trials}  {_worth(row)}  {say(row['values'])}{mark}")
        self._refresh()

    def _render(self) -> RenderableType:
        head = Table.grid(expand=True, padding=(0, 1))
        head.add_column(width=16)
        head.add_column(ratio=1)
        head.add_row(
            f"trial {len(self._rows)} of {self._trials}", ProgressBar(total=self._trials, completed=len(self._rows))
        )
        table = Table(box=None, header_style="dim", pad_edge=False)
        for name in ("", "objective", *(name.rpartition(".")[2] for name in self._names), "s"):
            table.add_column(name, justify="right")
        best = self.incumbent
        for row in self._rows[-SHOWN:]:
            seconds = row.get("seconds")
            table.add_row(
                str(row["number"]),
                _worth(row),
                *(short(row["values"][name]) for name in self._names),
                f"{seconds:.0f}" if seconds is not None else "",
                style="bold green" if row is best else "red" if row["result"] is None else "",
            )
        for number, values in sorted(self._running.items()):
            table.add_row(str(number), "runs", *(short(values[name]) for name in self._names), "", style="cyan")
        body: list[RenderableType] = [head, Text(), table]
        if best is not None:
            body += [Text(), Text(f"★ {_worth(best)}  {say(best['values'])}", style="green")]
        return Panel(
            Group(*body), title=f"[bold]{self._title}", title_align="left", border_style="bright_black", padding=(0, 1)
        )


def say(values: Mapping[str, Any]) -> str:
    """An assignment in one line."""
    return "  ".join(f"{name} {short(value)}" for name, value in values.items())


def short(value: Any) -> str:
    """Three digits of a number."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _worth(row: Mapping[str, Any]) -> str:
    """The objective with its interval; `failed` without one."""
    value = row.get("objective")
    if row["result"] is None or value is None or not math.isfinite(value):
        return "failed"
    low, high = row.get("low"), row.get("high")
    return f"{value:.4f}" + (f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else "")
