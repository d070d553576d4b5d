"""What the driver does with the workers' events: files, live view, dashboard figures."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from r1ray.metrics.sinks import JsonlSink, Sink, Sinks, TensorBoardSink, read_jsonl
from r1ray.progress import ConsoleView
from r1ray.runs import Run


class Event(Protocol):
    """Something that happened, and what goes with it."""

    @property
    def kind(self) -> str: ...

    @property
    def payload(self) -> Any: ...


class Watcher:
    """Turns events into `metrics.jsonl`, `samples.jsonl`, TensorBoard files, the live view and whatever sinks it is
    given."""

    def __init__(self, run: Run, view: ConsoleView, sinks: Sequence[Sink] = ()) -> None:
        self._run, self._view = run, view
        self._more = list(sinks)
        self._sinks: Sinks | None = None
        self._error: BaseException | None = None

    def note(self, text: str) -> None:
        """A line for the user."""
        self._view.note(text)

    def take(self, events: Iterable[Event]) -> bool:
        """Deal with events in order; True if the work must not go on."""
        for event in events:
            if event.kind == "note":
                self._view.note(event.payload)
            elif event.kind == "phase":
                self._view.phase(event.payload)
            elif event.kind == "resumed":
                self._begin(event.payload)
            elif event.kind == "step" and self._sinks is not None:
                self._sinks.write(*event.payload)
            elif event.kind == "samples":
                self._write_samples(event.payload)
            elif event.kind == "error":
                self._error = event.payload
        return self._error is not None

    def raise_error(self) -> None:
        """Raise what a worker reported, if any did."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Close the files."""
        if self._sinks is not None:
            self._sinks.close()
            self._sinks = None

    def _begin(self, done: int) -> None:
        """Training starts, or starts again, with `done` steps behind it: what was written of later steps is void."""
        if self._sinks is not None:
            self._sinks.close()
        resume = done if self._run.metrics_path.exists() else None
        files: list[Sink] = [
            JsonlSink(self._run.metrics_path, resume_step=resume),
            TensorBoardSink(self._run.tensorboard_path, resume_step=resume),
        ]
        self._sinks = Sinks([*files, self._view, *self._more])
        self._view.started()
        if self._run.samples_path.exists():
            kept = [row for row in read_jsonl(self._run.samples_path) if row["step"] <= done]
            self._write_samples(kept, "w")

    def _write_samples(self, rows: Sequence[dict[str, Any]], mode: str = "a") -> None:
        with self._run.samples_path.open(mode, encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
