"""Where reduced metrics go: JSONL, TensorBoard, Weights & Biases, MLflow. The console view (`r1ray.progress`) is one
more sink."""

import importlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from r1ray.errors import ConfigError


class Sink(Protocol):
    """Takes one dictionary of figures a step."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Record the figures of one step."""
        ...

    def close(self) -> None:
        """Bring everything to its place; further writes are not allowed."""
        ...


class Sinks:
    """Several sinks as one; a context manager that closes them all, even if one of them fails."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = list(sinks)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        for sink in self._sinks:
            sink.write(step, values)

    def close(self) -> None:
        errors = []
        for sink in self._sinks:
            try:
                sink.close()
            except Exception as error:  # the others still have to be closed
                errors.append(error)
        if errors:
            raise errors[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class JsonlSink:
    """One JSON object a line and step, on disk when `write` returns. Not-a-number and infinities become `null`."""

    def __init__(self, path: Path, resume_step: int | None = None) -> None:
        """Append to `path`. `resume_step`: the step that a resumed run continues after; rows beyond it are removed
        first."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _keep_rows(path, resume_step)
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        row = {key: value if math.isfinite(value) else None for key, value in values.items()}
        self._file.write(json.dumps({"step": step, "time": round(time.time(), 3), **row}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a JSONL file, up to the first torn one: a crash can leave half a last line. No file, no rows."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                return


def _keep_rows(path: Path, last_step: int | None) -> None:
    """Rewrite `path` without rows after `last_step` and without a torn last line; atomically."""
    rows = [row for row in read_jsonl(path) if last_step is None or row.get("step", 0) <= last_step]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.read_bytes() == text.encode():
        return
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


class TensorBoardSink:
    """TensorBoard event files, through torch or, without it, tensorboardX."""

    def __init__(self, folder: Path, resume_step: int | None = None) -> None:
        """`resume_step`: steps after it that an earlier, interrupted part of the run wrote are hidden by
        TensorBoard."""
        try:
            module = importlib.import_module("torch.utils.tensorboard")
        except ImportError:
            module = _optional("tensorboardX")
        purge_step = None if resume_step is None else resume_step + 1
        self._writer: Any = module.SummaryWriter(str(folder), purge_step=purge_step)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WandbSink:
    """A Weights & Biases run (extra `wandb`); a resumed run continues under the same id."""

    def __init__(self, project: str, name: str, config: Mapping[str, Any]) -> None:
        self._run: Any = _optional("wandb").init(
            project=project, name=name, id=name, resume="allow", config=dict(config)
        )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


class MlflowSink:
    """An MLflow run (extra `mlflow`)."""

    def __init__(self, experiment: str, name: str, config: Mapping[str, Any]) -> None:
        self._mlflow: Any = _optional("mlflow")
        self._mlflow.set_experiment(experiment)
        self._mlflow.start_run(run_name=name)
        self._mlflow.log_params(dict(config))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(values), step=step)

    def close(self) -> None:
        self._mlflow.end_run()


def _optional(module: str) -> Any:
    """Import a library that r1ray runs without; the error says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        wanted = f"'r1ray[{module}]'" if module in ("wandb", "mlflow") else "tensorboard"
        raise ConfigError(
            f"This needs {module}, which cannot be imported ({error}): `pip install {wanted}`."
        ) from error
