"""Where run folders live: a path that outlasts the job, or a remote folder behind a URI."""

import functools
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from r1ray.errors import ConfigError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


def is_uri(location: str) -> bool:
    """Whether a location names a remote file system (`s3://...`); `file://` is a path."""
    return "://" in location and not location.startswith("file://")


def resolve_storage(storage: str, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> tuple[str, str]:
    """`storage` as a URI or absolute path, and a notice for the user (empty if there is nothing to say).

    Inside a submitted Ray job the working directory is a folder of Ray's session, which is deleted: there a relative
    path is taken from the home directory.
    """
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd
    if is_uri(storage):
        return storage.rstrip("/"), ""
    path = Path(storage.removeprefix("file://")).expanduser()
    if path.is_absolute():
        return os.path.normpath(path), ""
    # Ray gives a submitted driver its configuration in this variable; an uploaded working directory is under this
    # folder.
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in environ or "runtime_resources" in cwd.parts:
        resolved = os.path.normpath(Path.home() / path)
        why = "a job's working directory is deleted"
        return resolved, f"run.storage {storage} is taken from the home directory, {resolved}: {why}."
    return os.path.normpath(cwd / path), ""


def cache_folder(uri: str) -> Path:
    """Local folder in which a run with remote storage is written before it is uploaded (`R1RAY_CACHE`, or
    ~/.cache/r1ray)."""
    root = Path(os.environ.get("R1RAY_CACHE") or Path.home() / ".cache" / "r1ray")
    return root / "runs" / uri.replace("://", "/")


class RemoteFolder:
    """A folder behind a URI, with the few verbs that runs need. Names are POSIX paths relative to it."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")

    def __reduce__(self) -> tuple[type["RemoteFolder"], tuple[str]]:
        return RemoteFolder, (self.uri,)

    def upload(self, local: Path, name: str) -> None:
        """Copy one local file."""
        system, path = self._at(name)
        system.create_dir(path.rpartition("/")[0], recursive=True)
        with local.open("rb") as source, system.open_output_stream(path) as target:
            shutil.copyfileobj(source, target, 1 << 22)

    def download(self, name: str, local: Path) -> None:
        """Copy one remote file; raises `FileNotFoundError`. A broken transfer leaves no file behind."""
        system, path = self._at(name)
        local.parent.mkdir(parents=True, exist_ok=True)
        temporary = local.with_name(local.name + ".part")
        with system.open_input_stream(path) as source, temporary.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 22)
        temporary.replace(local)

    def exists(self, name: str) -> bool:
        """Whether a file or folder of that name is there."""
        system, path = self._at(name)
        return bool(system.get_file_info(path).type)

    def folders(self, name: str) -> list[str]:
        """Names of the folders directly in folder `name`; none if it does not exist."""
        from pyarrow.fs import FileSelector, FileType

        system, path = self._at(name)
        found = system.get_file_info(FileSelector(path, allow_not_found=True))
        return sorted(info.base_name for info in found if info.type == FileType.Directory)

    def remove_file(self, name: str) -> None:
        """Delete a file, if it is there."""
        system, path = self._at(name)
        if self.exists(name):
            system.delete_file(path)

    def remove_folder(self, name: str) -> None:
        """Delete a folder with all it holds, if it is there."""
        system, path = self._at(name)
        if self.exists(name):
            system.delete_dir(path)

    def _at(self, name: str) -> tuple["FileSystem", str]:
        system, root = _open(self.uri)
        return system, f"{root}/{name}".rstrip("/")


@functools.lru_cache(maxsize=8)
def _open(uri: str) -> tuple["FileSystem", str]:
    """The pyarrow file system of a URI and the path in it: pyarrow's own (S3, GCS, HDFS), else whatever fsspec
    knows."""
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    try:
        if uri.startswith(("s3://", "gs://", "gcs://", "hdfs://", "abfs://")):
            return cast("tuple[FileSystem, str]", FileSystem.from_uri(uri))
        import fsspec

        system: Any
        system, path = fsspec.core.url_to_fs(uri)
        return PyFileSystem(FSSpecHandler(system)), path.rstrip("/")
    except Exception as error:
        raise ConfigError(
            f"run.storage {uri} cannot be opened: {error}. Expected a path or a URI such as s3://bucket/runs "
            "whose credentials are in the environment."
        ) from error
