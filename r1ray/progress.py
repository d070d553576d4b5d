"""What a person sees while a run trains: a live view in a terminal, one plain line a step anywhere else.

`ConsoleView` is a metrics sink: it takes the same dictionary as the others.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

BLOCKS = "▁▂▃▄▅▆▇█"
HEADLINES = {
    "reward/total": "reward",
    "reward/correct": "correct",
    "ppo/ref_kl": "KL to reference",
    "ppo/policy_kl": "KL of update",
    "ppo/entropy": "entropy",
    "ppo/clip_fraction": "clipped",
    "rollout/tokens_mean": "tokens/answer",
    "train/loss": "loss",
    "validation/loss": "validation loss",
    "optim/lr": "learning rate",
    "evaluation/accuracy": "held-out accuracy",
}
SHARES = {"reward/correct", "ppo/clip_fraction", "evaluation/accuracy"}


class LiveView:
    """What a terminal redraws in place; elsewhere only the lines of `note` appear."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None

    def note(self, text: str) -> None:
        """A line for the user that stays: it scrolls above the live view."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _refresh(self) -> None:
        if self._live is not None and self._live.is_started:
            self._live.update(self._render(), refresh=True)

    def _render(self) -> RenderableType:
        raise NotImplementedError


class ConsoleView(LiveView):
    """Live view of a training run. A context manager; outside a terminal every step is one line."""

    def __init__(
        self,
        title: str,
        total_steps: int,
        done_steps: int = 0,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`done_steps`: steps that a resumed run has behind it."""
        super().__init__(console)
        self._clock = clock
        self._title, self._total = title, total_steps
        self._step, self._phase = done_steps, ""
        self._history: dict[str, list[float]] = {}
        self._newest: Mapping[str, float] = {}
        self._last_write = clock()
        self._step_seconds: list[float] = []

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
            self._refresh()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def phase(self, text: str) -> None:
        """What is being done now (`cold start`, `generate`, `evaluate` ...); shown in the live view only."""
        self._phase = text
        self._refresh()

    def expect(self, total_steps: int) -> None:
        """How many steps there will be, once that is known."""
        self._total = total_steps

    def started(self) -> None:
        """The steps start now: what came before (loading, cold start, evaluation) does not count in the time left."""
        self._last_write = self._clock()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Show the figures of one finished step."""
        now = self._clock()
        self._step_seconds = [*self._step_seconds[-9:], now - self._last_write]
        self._last_write, self._step, self._newest = now, step, values
        for key, value in values.items():
            if math.isfinite(value):
                self._history.setdefault(key, []).append(value)
        if self._live is None:
            self.note(plain_line(step, self._total, values, self._seconds_left()))
        self._refresh()

    def close(self) -> None:
        """Stop the live view; its last state stays on the screen."""
        if self._live is not None and self._live.is_started:
            self._phase = ""
            self._refresh()
            self._live.stop()

    def _seconds_left(self) -> float:
        if not self._step_seconds:
            return math.nan
        return statistics.median(self._step_seconds) * max(0, self._total - self._step)

    def _render(self) -> RenderableType:
        head = Table.grid(expand=True, padding=(0, 1))
        head.add_column(width=16)
        head.add_column(ratio=1)
        head.add_column(justify="right", min_width=16)
        left = f"{duration(self._seconds_left())} left" if self._step_seconds and self._step < self._total else ""
        head.add_row(f"step {self._step} of {self._total}", ProgressBar(total=self._total, completed=self._step), left)
        body: list[RenderableType] = [head]
        if self._newest:
            columns = Table.grid(expand=True, padding=(0, 3))
            for _ in range(3):
                columns.add_column(ratio=1)
            columns.add_row(self._headlines(), self._rewards(), self._times())
            body += [Text(), columns]
        if self._phase:
            body += [Text(), Text(f"▸ {self._phase}", style="cyan")]
        return Panel(
            Group(*body), title=f"[bold]{self._title}", title_align="left", border_style="bright_black", padding=(0, 1)
        )

    def _headlines(self) -> Table:
        rows = [
            (label, format_value(key, self._newest[key])) for key, label in HEADLINES.items() if key in self._newest
        ]
        table = _figures("", rows)
        if rewards := self._history.get("reward/total"):
            table.add_row("trend", Text(sparkline(rewards, width=20), style="green"))
        return table

    def _rewards(self) -> Table:
        keys = reward_components(self._newest)
        return _figures(
            "rewards", [(key.removeprefix("reward/"), format_value(key, self._newest[key])) for key in keys]
        )

    def _times(self) -> Table:
        rows = [
            (key.removeprefix("time/"), duration(value))
            for key, value in self._newest.items()
            if key.startswith("time/")
        ]
        rows += [
            (key.removeprefix("throughput/").replace("_", " "), f"{value:,.0f}/s")
            for key, value in self._newest.items()
            if key.startswith("throughput/")
        ]
        return _figures("time", rows)


def sparkline(values: Sequence[float], width: int = 20) -> str:
    """The last `width` values as small bars between their least and greatest."""
    shown = list(values)[-width:]
    if not shown:
        return ""
    low, span = min(shown), max(shown) - min(shown)
    return "".join(BLOCKS[round((value - low) / span * (len(BLOCKS) - 1)) if span else 0] for value in shown)


def plain_line(step: int, total: int, values: Mapping[str, float], seconds_left: float) -> str:
    """One step as a line of a log: the headline figures, rewards by component, throughput and time left."""
    parts = [f"step {step}/{total}"]
    parts += [f"{label} {format_value(key, values[key])}" for key, label in HEADLINES.items() if key in values]
    parts += [f"{key.removeprefix('reward/')} {format_value(key, values[key])}" for key in reward_components(values)]
    parts += [f"{k.removeprefix('throughput/')} {v:,.0f}/s" for k, v in values.items() if k.startswith("throughput/")]
    if "time/step" in values:
        parts.append(duration(values["time/step"]))
    if math.isfinite(seconds_left) and step < total:
        parts.append(f"{duration(seconds_left)} left")
    return " | ".join(parts)


def reward_components(values: Mapping[str, float]) -> list[str]:
    """Keys of the reward's parts: without the headline figures and without what the checkers counted."""
    return [
        key
        for key in values
        if key.startswith("reward/") and key not in HEADLINES and not key.startswith("reward/count_")
    ]


def format_value(key: str, value: float) -> str:
    """Shares in per cent, other figures with the digits that tell them apart."""
    if not math.isfinite(value):
        return "–"
    if key in SHARES:
        return f"{value:.1%}"
    size = abs(value)
    digits = 0 if size >= 1000 else 1 if size >= 100 else 3 if size >= 0.1 or size == 0 else 4
    return f"{value:,.{digits}f}"


def duration(seconds: float) -> str:
    """0.42 s, 12.3 s, 4m05s, 1h02m."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"


def _figures(title: str, rows: Sequence[tuple[str, str]]) -> Table:
    table = Table(
        show_header=False, box=None, padding=(0, 1, 0, 0), title=title or None, title_justify="left", title_style="dim"
    )
    table.add_column(style="dim")
    table.add_column(justify="right")
    for label, value in rows:
        table.add_row(label, value)
    return table
