"""From events to files: rows, samples, notes, and what a restart makes void."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from r1ray.config.jobs import PPOJobConfig
from r1ray.config.run import RunConfig
from r1ray.errors import DataError
from r1ray.progress import ConsoleView
from r1ray.runs import Run
from r1ray.train.watch import Watcher


class Event(NamedTuple):
    kind: str
    payload: Any = None


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def write(self, step: int, values: Any) -> None:
        self.steps.append(step)

    def close(self) -> None:
        self.steps.append(-1)


class Scene(NamedTuple):
    watcher: Watcher
    run: Run
    screen: io.StringIO
    sink: Kept


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    config = PPOJobConfig(run=RunConfig(storage=str(tmp_path), name="x"))
    run, screen, sink = Run.create("ppo", config), io.StringIO(), Kept()
    watcher = Watcher(run, ConsoleView("x", 4, console=Console(file=screen, width=200)), [sink])
    yield Scene(watcher, run, screen, sink)
    watcher.close()


def step(number: int, reward: float = 0.5) -> Event:
    return Event("step", (number, {"reward/total": reward}))


def rows(path: Path) -> list[tuple[int, Any]]:
    """(step, reward or text) of each row."""
    data = [json.loads(line) for line in path.read_text().splitlines()]
    return [(row["step"], row.get("reward/total", row.get("text"))) for row in data]


def test_steps_and_samples_go_to_their_files_and_to_every_sink(scene: Scene) -> None:
    samples = Event("samples", [{"step": 1, "text": "“x” = 1"}, {"step": 1, "text": "y"}])
    assert not scene.watcher.take([Event("resumed", 0), samples, step(1), step(2, 0.75)])
    assert rows(scene.run.metrics_path) == [(1, 0.5), (2, 0.75)]
    assert rows(scene.run.samples_path) == [(1, "“x” = 1"), (1, "y")]
    assert "“x”" in scene.run.samples_path.read_text(encoding="utf-8")  # for people to read
    assert list(scene.run.tensorboard_path.glob("events.out.*"))
    assert scene.sink.steps == [1, 2]
    assert "step 2/4" in scene.screen.getvalue()


def test_without_samples_there_is_no_file_of_them(scene: Scene) -> None:
    scene.watcher.take([Event("resumed", 0), step(1)])
    assert not scene.run.samples_path.exists()


def test_notes_reach_the_user_and_phases_do_not_pile_up(scene: Scene) -> None:
    scene.watcher.take([Event("note", "Accuracy: [50 %]"), Event("phase", "evaluation"), Event("started", 0)])
    scene.watcher.note("Stopping.")
    assert scene.screen.getvalue().splitlines() == ["Accuracy: [50 %]", "Stopping."]


def test_a_restart_takes_back_what_came_after_its_checkpoint(scene: Scene) -> None:
    def samples(number: int, text: str) -> Event:
        return Event("samples", [{"step": number, "text": text}])

    first = [event for n in (1, 2, 3) for event in (samples(n, "old"), step(n))]
    again = [event for n in (2, 3, 4) for event in (samples(n, "new"), step(n, 0.9))]
    scene.watcher.take([Event("resumed", 0), *first])
    scene.watcher.take([Event("resumed", 1), *again])
    assert rows(scene.run.metrics_path) == [(1, 0.5), (2, 0.9), (3, 0.9), (4, 0.9)]
    assert rows(scene.run.samples_path) == [(1, "old"), (2, "new"), (3, "new"), (4, "new")]


def test_a_resumed_run_keeps_the_rows_of_the_process_before_it(scene: Scene) -> None:
    scene.run.metrics_path.write_text('{"step": 1, "reward/total": 0.1}\n{"step": 2, "reward/total": 0.2}\n{"st')
    scene.run.samples_path.write_text('{"step": 1, "text": "a"}\n{"step": 2, "text": "b"}\n{"st')
    scene.watcher.take([Event("resumed", 1), step(2, 0.3)])
    assert rows(scene.run.metrics_path) == [(1, 0.1), (2, 0.3)]
    assert rows(scene.run.samples_path) == [(1, "a")]


def test_an_error_stops_the_work_and_is_raised_as_it_was(scene: Scene) -> None:
    error = DataError("row 7 is empty")
    scene.watcher.raise_error()
    assert scene.watcher.take([Event("error", error), Event("note", "after it")])
    assert scene.watcher.take([])  # and stays
    assert re.search("after it", scene.screen.getvalue())
    with pytest.raises(DataError, match="row 7 is empty"):
        scene.watcher.raise_error()


def test_closing_closes_every_sink_once(scene: Scene) -> None:
    scene.watcher.take([Event("resumed", 0), step(1)])
    scene.watcher.close()
    scene.watcher.close()
    assert scene.sink.steps == [1, -1]
