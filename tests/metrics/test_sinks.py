"""Sinks keep what they are given, across crashes and resumes."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from r1ray.errors import ConfigError
from r1ray.metrics.sinks import JsonlSink, MlflowSink, Sinks, TensorBoardSink, WandbSink, read_jsonl


def rows(path: Path) -> list[tuple[int, float]]:
    return [(row["step"], row["a/x"]) for row in read_jsonl(path)]


def test_jsonl_has_one_line_a_step(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "metrics.jsonl")
    sink.write(1, {"a/x": 0.5, "a/bad": math.nan, "a/huge": math.inf})
    sink.write(2, {"a/x": 0.25})
    sink.close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    first = json.loads(lines[0], parse_constant=pytest.fail)  # NaN is not JSON
    assert len(lines) == 2
    assert (first["step"], first["a/x"], first["a/bad"], first["a/huge"]) == (1, 0.5, None, None)


def test_jsonl_survives_a_process_that_is_killed_right_after_a_write(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from r1ray.metrics.sinks import JsonlSink\n"
        "sink = JsonlSink(pathlib.Path(sys.argv[1])); sink.write(1, {'a/x': 1.0}); os.kill(os.getpid(), 9)"
    )
    path = tmp_path / "metrics.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert done.returncode == -9
    assert rows(path) == [(1, 1.0)]


def test_a_resumed_run_drops_the_rows_after_its_checkpoint_and_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    sink = JsonlSink(path)
    for step in range(1, 6):
        sink.write(step, {"a/x": float(step)})
    sink.close()
    with path.open("a") as file:
        file.write('{"step": 6, "a/')
    resumed = JsonlSink(path, resume_step=3)
    resumed.write(4, {"a/x": 40.0})
    resumed.close()
    assert rows(path) == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0)]


def test_reading_a_file_that_is_not_there_gives_no_rows(tmp_path: Path) -> None:
    assert list(read_jsonl(tmp_path / "none.jsonl")) == []


def test_tensorboard_files_hold_every_scalar(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    sink = TensorBoardSink(tmp_path)
    sink.write(1, {"reward/outcome": 0.5})
    sink.write(2, {"reward/outcome": 0.75})
    sink.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("reward/outcome")] == [(1, 0.5), (2, 0.75)]


@pytest.mark.parametrize(("sink", "extra"), [(WandbSink, "wandb"), (MlflowSink, "mlflow")])
def test_a_missing_library_is_an_error_that_names_its_extra(
    sink: type[WandbSink] | type[MlflowSink], extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, extra, None)  # import fails, whether it is installed or not
    with pytest.raises(ConfigError, match=rf"r1ray\[{extra}\]"):
        sink("project", "name", {})


class Recorder:
    def __init__(self, fail: bool = False) -> None:
        self.written: list[tuple[int, dict[str, float]]] = []
        self.closed, self._fail = False, fail

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self.written.append((step, dict(values)))

    def close(self) -> None:
        self.closed = True
        if self._fail:
            raise OSError("disk full")


def test_all_sinks_get_everything_and_are_closed_even_if_one_fails() -> None:
    failing, other = Recorder(fail=True), Recorder()
    with pytest.raises(OSError, match="disk full"), Sinks([failing, other]) as sinks:
        sinks.write(1, {"a/x": 2.0})
    assert failing.written == other.written == [(1, {"a/x": 2.0})]
    assert failing.closed and other.closed
