"""Checkpoints that are complete or do not count: written aside, hashed, renamed; the newest whole one is the latest.

checkpoints/.pending-000010/...    being written
checkpoints/step-000010/...        complete: `checkpoint.json` lists every file with its hash
"""

import contextlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1ray.errors import CheckpointError
from r1ray.runs.files import files_under, fsync, hash_file, write_json
from r1ray.runs.storage import RemoteFolder

LOG = logging.getLogger(__name__)
MANIFEST = "checkpoint.json"
Hashes = dict[str, str]
"""Relative path -> SHA-256."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint whose files have the hashes that were written with them."""

    step: int
    path: Path
    info: dict[str, Any]
    """What `commit` was given beside the files."""


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of one run. Picklable: every rank of a learner group may hold one.

    One node (or a shared disk): rank 0 `begin`s, all ranks write into `pending(step)`, then rank 0 `commit`s. Nodes
    without a shared disk need remote storage: one rank of each other node calls `begin` before and `upload` after
    writing, and hands the hashes to rank 0's `commit`.
    """

    folder: Path
    keep: int = 2
    """Complete checkpoints that stay; older ones are removed."""
    remote: RemoteFolder | None = field(default=None)
    """Folder that mirrors `folder`, or None."""

    def pending(self, step: int) -> Path:
        """The folder in which a checkpoint is being written."""
        return self.folder / f".pending-{step:06d}"

    def begin(self, step: int) -> Path:
        """An empty folder to write a checkpoint into; whatever an interrupted attempt left there is removed."""
        shutil.rmtree(self.pending(step), ignore_errors=True)
        self.pending(step).mkdir(parents=True)
        return self.pending(step)

    def upload(self, step: int) -> Hashes:
        """Upload what was written on this node, and return its hashes for `commit` on rank 0."""
        hashes = _hash_all(self.pending(step))
        if self.remote is None:
            raise CheckpointError(
                "Ranks on several disks need run.storage to be shared: a network folder or a URI such as s3://bucket/runs."
            )
        for name in hashes:
            self.remote.upload(self.pending(step) / name, f"{_name(step)}/{name}")
        return hashes

    def commit(self, step: int, info: Mapping[str, Any] | None = None, elsewhere: Sequence[Hashes] = ()) -> Path:
        """Hash, rename and (where storage is remote) upload what was written since `begin`; then drop old checkpoints.

        `elsewhere`: what `upload` returned on other nodes. Returns the checkpoint's folder.
        """
        pending, target = self.pending(step), self.folder / _name(step)
        hashes = _hash_all(pending)
        if not hashes:
            raise CheckpointError(f"Nothing was written to {pending}: a checkpoint needs at least one file.")
        if self.remote is not None:
            # Without its manifest an older checkpoint of this step no longer counts while its files are replaced.
            self.remote.remove_file(f"{_name(step)}/{MANIFEST}")
            for name in hashes:
                self.remote.upload(pending / name, f"{_name(step)}/{name}")
        for part in elsewhere:
            hashes |= part
        write_json(pending / MANIFEST, {"step": step, "files": hashes, "info": dict(info or {})})
        for folder in {(pending / name).parent for name in hashes} | {pending}:
            if folder.is_dir():
                fsync(folder)
        if target.exists():
            # The same step again, after a resume from an earlier one: a rename cannot replace a folder that is not
            # empty.
            target.rename(self.pending(step).with_suffix(".replaced"))
        pending.rename(target)
        fsync(self.folder)
        if self.remote is not None:
            self.remote.upload(target / MANIFEST, f"{_name(step)}/{MANIFEST}")
        self._clean()
        return target

    @contextlib.contextmanager
    def write(self, step: int, info: Mapping[str, Any] | None = None) -> Iterator[Path]:
        """`begin` and `commit` around the writing; an exception in between leaves no checkpoint."""
        folder = self.begin(step)
        yield folder
        self.commit(step, info)

    def steps(self) -> list[int]:
        """Steps of the checkpoints that are there, oldest first; their hashes are not looked at."""
        names = self.remote.folders("") if self.remote is not None else []
        if self.folder.is_dir():
            names += [path.name for path in self.folder.iterdir()]
        return sorted({int(name.removeprefix("step-")) for name in names if name.startswith("step-")})

    def latest(self, report: Callable[[str], None] = LOG.warning) -> Checkpoint | None:
        """The newest complete checkpoint, downloaded if it is remote; None if there is none.

        A damaged one is passed over, and `report` is told which, why, and what is used in its place.
        """
        problems: list[str] = []
        for step in reversed(self.steps()):
            try:
                found = self.load(step)
            except CheckpointError as error:
                problems.append(str(error))
                continue
            for problem in problems:
                report(f"{problem} Using {_name(step)} instead.")
            return found
        for problem in problems:
            report(f"{problem} No complete checkpoint is left.")
        return None

    def load(self, step: int) -> Checkpoint:
        """The checkpoint of one step, verified; raises `CheckpointError` if it is missing, incomplete or damaged."""
        path = self.folder / _name(step)
        if self.remote is not None:
            self._download(step)
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
            expected: Hashes = manifest["files"]
        except FileNotFoundError:
            raise CheckpointError(f"Checkpoint {path} is incomplete: it has no {MANIFEST}.") from None
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"Checkpoint {path} is damaged: its {MANIFEST} cannot be read ({error!r}).") from None
        for name, digest in expected.items():
            file = path / name
            if not file.is_file():
                raise CheckpointError(f"Checkpoint {path} is incomplete: {name} is missing.")
            if hash_file(file) != digest:
                raise CheckpointError(f"Checkpoint {path} is damaged: the content of {name} is not what was written.")
        return Checkpoint(step, path, manifest["info"])

    def _download(self, step: int) -> None:
        """Bring a remote checkpoint here, as far as it exists. Files that are here already, with the right hash,
        stay."""
        assert self.remote is not None
        name, path = _name(step), self.folder / _name(step)
        # What is missing there, or unreadable, shows when the copy here is verified.
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
            self.remote.download(f"{name}/{MANIFEST}", path / MANIFEST)
            files: Hashes = json.loads((path / MANIFEST).read_text(encoding="utf-8"))["files"]
            for file, digest in files.items():
                if not ((path / file).is_file() and hash_file(path / file) == digest):
                    self.remote.download(f"{name}/{file}", path / file)

    def _clean(self) -> None:
        """Drop what is beyond `keep`, and leftovers of interrupted writing."""
        for step in self.steps()[: -self.keep]:
            if self.remote is not None:
                self.remote.remove_file(
                    f"{_name(step)}/{MANIFEST}"
                )  # first, so that a half-removed one is not taken for whole
                self.remote.remove_folder(_name(step))
            shutil.rmtree(self.folder / _name(step), ignore_errors=True)
        for leftover in self.folder.glob(".pending-*"):
            shutil.rmtree(leftover, ignore_errors=True)


def _name(step: int) -> str:
    return f"step-{step:06d}"


def _hash_all(folder: Path) -> Hashes:
    """Hash every file under `folder`, once it is on the disk."""
    hashes = {}
    for name in files_under(folder):
        fsync(folder / name)
        hashes[name] = hash_file(folder / name)
    return hashes
