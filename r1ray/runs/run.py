"""One run and its folder.

runs/ppo-20260102-030405/
  config.json      every setting, resolved         metrics.jsonl   one line a step
  manifest.json    origin, status, summary         samples.jsonl   sampled rollouts
  checkpoints/     to go on from                   report.html     to look at
  model/           the result, in the Hugging Face layout          tensorboard/
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from r1ray.config.run import RunConfig
from r1ray.config.serialise import to_dict
from r1ray.errors import ConfigError
from r1ray.runs import manifest as origin
from r1ray.runs.checkpoints import Checkpoints
from r1ray.runs.files import write_json
from r1ray.runs.storage import RemoteFolder, cache_folder, is_uri, resolve_storage

C = TypeVar("C")
SMALL_FILES = (
    "config.json",
    "manifest.json",
    "metrics.jsonl",
    "samples.jsonl",
    "report.html",
    "base.json",  # of a search, as the next three
    "trials.jsonl",
    "search.json",
    "best.json",
)


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder. As a context manager it keeps `status` in the manifest true: running, done, failed or
    interrupted."""

    name: str
    job: str
    folder: Path
    """Where the run is written. With remote storage this is a local folder that mirrors it."""
    location: str
    """Where the run is found again: the folder, or its URI. What a message to the user names."""
    keep_checkpoints: int = 2
    resumed: bool = False

    @classmethod
    def create(cls, job: str, config: Any, now: datetime | None = None) -> Self:
        """Make the folder, write `config.json` and the first `manifest.json`. `config.run` is the run's `RunConfig`.

        Raises `ConfigError` if a run of that name exists.
        """
        settings: RunConfig = config.run
        storage, _ = resolve_storage(settings.storage)
        wanted = settings.name or f"{job}-{now or datetime.now():%Y%m%d-%H%M%S}"
        if "/" in wanted or wanted in (".", ".."):
            raise ConfigError(
                f"run.name is {wanted!r}; expected a plain name. The folder that holds it is run.storage."
            )
        name, attempt = wanted, 1
        while not (run := cls._at(f"{storage}/{name}", job, settings.keep_checkpoints))._claim():
            if settings.name:
                raise ConfigError(
                    f"A run {run.location} exists already. Go on with it by --resume {run.location}, or choose "
                    "another run.name."
                )
            attempt += 1
            name = f"{wanted}-{attempt}"
        run.save_config(resolved_config(run, config))
        run.update(
            name=name,
            job=job,
            status="running",
            started=_now(now),
            seed=settings.seed,
            versions=origin.versions(),
            git_commit=origin.git_commit(),
            inputs={},
            parents={},
            metrics={},
            summary={},
        )
        run.sync()
        return run

    @classmethod
    def resume(cls, path: str | Path) -> Self:
        """Open a run, by its folder or URI, to go on with it."""
        run = cls.open(path)
        config = run.config_data()
        run.update(status="running", resumed=[*run.manifest().get("resumed", []), _now(None)])
        return dataclasses.replace(run, keep_checkpoints=config.get("run", {}).get("keep_checkpoints", 2), resumed=True)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a run to read it. Raises `ConfigError` if there is none."""
        given = str(path).rstrip("/")
        location = given if is_uri(given) else str(Path(resolve_storage(given)[0]))
        run = cls._at(location, job="", keep=2)
        if (remote := run.remote) is not None:
            for name in SMALL_FILES:
                if remote.exists(name):
                    remote.download(name, run.folder / name)
        if not origin.is_run(run.folder):
            raise ConfigError(
                f"No run at {location}: expected a folder with manifest.json. Was it meant to be runs/<name>?"
            )
        return dataclasses.replace(run, job=run.manifest()["job"], resumed=False)

    @classmethod
    def _at(cls, location: str, job: str, keep: int) -> Self:
        folder = cache_folder(location) if is_uri(location) else Path(location)
        return cls(name=location.rpartition("/")[2], job=job, folder=folder, location=location, keep_checkpoints=keep)

    def _claim(self) -> bool:
        """Make the folder; False if the name is taken."""
        if self.remote is not None:
            if self.remote.exists("manifest.json"):
                return False
            self.folder.mkdir(parents=True, exist_ok=True)
            return True
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.folder.mkdir()
        except FileExistsError:
            return False
        return True

    # ── What is in it ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def remote(self) -> RemoteFolder | None:
        """The run's folder in remote storage; None if storage is a path."""
        return RemoteFolder(self.location) if is_uri(self.location) else None

    @property
    def checkpoints(self) -> Checkpoints:
        """The run's checkpoints."""
        remote = RemoteFolder(f"{self.location}/checkpoints") if self.remote is not None else None
        return Checkpoints(self.folder / "checkpoints", self.keep_checkpoints, remote)

    @property
    def metrics_path(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def samples_path(self) -> Path:
        return self.folder / "samples.jsonl"

    @property
    def report_path(self) -> Path:
        return self.folder / "report.html"

    @property
    def tensorboard_path(self) -> Path:
        return self.folder / "tensorboard"

    @property
    def model_path(self) -> Path:
        """Where the resulting model is saved; `--policy.path runs/<name>` loads it from here."""
        return self.folder / "model"

    def manifest(self) -> dict[str, Any]:
        """The manifest as it is on disk."""
        data: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        return data

    def config_data(self) -> dict[str, Any]:
        """`config.json` as plain data; `r1ray.config.serialise.from_dict` makes a configuration of it."""
        data: dict[str, Any] = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        return data

    # ── What is written about it (by the driver alone) ──────────────────────────────────────────────────────────────

    def update(self, **entries: Any) -> None:
        """Set entries of the manifest."""
        path = self.folder / "manifest.json"
        current = self.manifest() if path.exists() else {}
        write_json(path, current | entries)

    def save_config(self, config: Any) -> None:
        """Write `config.json`."""
        write_json(self.folder / "config.json", to_dict(config))

    def add_input(self, name: str, path: str | Path) -> None:
        """Record a file or folder that the run reads, with its hash."""
        self.update(inputs=self.manifest()["inputs"] | {name: origin.describe(path)})

    def add_parent(self, role: str, path: str | Path, source: str = "") -> None:
        """Record a model that the run starts from (`role`: policy, critic, reward ...), with its hash and, if a run
        made it, the run. `source` is what the user called it, if that was an alias or a hub id."""
        entry = origin.describe(path) | ({"source": source} if source else {})
        self.update(parents=self.manifest()["parents"] | {role: entry})

    def finish(self, summary: Mapping[str, Any], metrics: Mapping[str, float] | None = None) -> None:
        """Record the headline figures and, optionally, the last metrics; the status becomes `done`."""
        self.update(status="done", ended=_now(None), summary=dict(summary), metrics=dict(metrics or {}))
        self.sync()

    def sync(self) -> None:
        """Upload the run's small files and its model, where storage is remote; else nothing."""
        if (remote := self.remote) is None:
            return
        for name in SMALL_FILES:
            if (self.folder / name).exists():
                remote.upload(self.folder / name, name)
        for folder in (self.tensorboard_path, self.model_path):
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    remote.upload(path, path.relative_to(self.folder).as_posix())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            if self.manifest()["status"] == "running":
                self.update(status="done", ended=_now(None))
        elif issubclass(kind, (KeyboardInterrupt, SystemExit)):
            self.update(status="interrupted", ended=_now(None))
        else:
            self.update(status="failed", ended=_now(None), error=f"{kind.__name__}: {error}")
        self.sync()


def resolved_config(run: Run, config: C) -> C:
    """`config` with the run's own name and storage in place of an empty name and a relative path."""
    settings: RunConfig = config.run  # type: ignore[attr-defined]
    storage = run.location.rpartition("/")[0]
    return dataclasses.replace(config, run=dataclasses.replace(settings, name=run.name, storage=storage))  # type: ignore[type-var]


def _now(now: datetime | None) -> str:
    return (now or datetime.now()).astimezone().isoformat(timespec="seconds")
