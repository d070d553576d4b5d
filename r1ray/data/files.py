"""Files of rows, wherever they lie: local paths, globs, and URIs that pyarrow (`s3://`, `gs://`) or fsspec can open."""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import fsspec
import pyarrow
import pyarrow.fs
import pyarrow.parquet
from fsspec.implementations.arrow import ArrowFSWrapper

from r1ray.data.quarantine import EXCERPT
from r1ray.data.versions import SHARDS, locate
from r1ray.errors import DataError

LINE_SUFFIXES = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".json.gz")
PARQUET_SUFFIXES = (".parquet",)
_ARROW_SCHEMES = ("s3", "gs", "gcs")
_PARQUET_BATCH = 1024
_CHUNK = 2**20
MAX_LINE = 64 * 2**20
"""Bytes beyond which a line is no row: a file without line ends would otherwise be held in memory as one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RawRow:
    """One row as it was found: its fields, or why it could not be read."""

    file: str
    line: int
    """Counted from 1 (row number in a parquet file); 0 = the file as a whole."""
    fields: dict[str, Any]
    reason: str = ""
    """Empty where the row could be read."""
    detail: str = ""
    excerpt: str = ""
    """Beginning of a row that could not be read."""


def expand(path: str, suffixes: tuple[str, ...] = LINE_SUFFIXES + PARQUET_SUFFIXES) -> list[str]:
    """The files that a path, URI or glob (`data/*.jsonl`, `s3://bucket/**/*.parquet`) names, sorted.

    A folder stands for the files of a known kind in it, a corpus (a folder with `shards/`) for its shards, and
    `corpora/mix@1f3a` for those of its version with that hash.

    Raises:
        DataError: there are none, or one of them is of an unknown kind.
    """
    if is_local(path):
        path = locate(path)
    filesystem, inner = open_filesystem(path)
    try:
        found = _find(filesystem, inner, suffixes)
    except OSError as error:
        raise DataError(f"{path!r} could not be looked up: {error}. Check the address and the credentials.") from error
    if not found:
        raise DataError(
            f"No problem file matches {path!r}{_looked_in(path)}. Expected JSONL or parquet; check problems.path."
        )
    for name in found:
        if not name.endswith(suffixes):
            raise DataError(f"{name} is of an unknown kind; expected one of {', '.join(suffixes)}.")
    scheme = _scheme(path)
    return sorted(f"{scheme}://{name.removeprefix(f'{scheme}://')}" if scheme else name for name in found)


def is_local(path: str) -> bool:
    """Whether the path names a file of this machine."""
    return _scheme(path) in ("", "file", "local")


def file_size(path: str) -> int:
    """Bytes of one file."""
    filesystem, inner = open_filesystem(path)
    return int(filesystem.size(inner) or 0)


def read_rows(path: str) -> Iterator[RawRow]:
    """Every row of one file, in order. Blank lines are no rows; a line that cannot be read is a row with a reason.

    A file that breaks off in the middle gives what came before, then one row of line 0 that says so.
    """
    filesystem, inner = open_filesystem(path)
    read = _read_parquet if path.endswith(PARQUET_SUFFIXES) else _read_lines
    compression = None if path.endswith(PARQUET_SUFFIXES) else "infer"
    try:
        with filesystem.open(inner, "rb", compression=compression) as stream:
            yield from read(path, cast(IO[bytes], stream))
    except (OSError, EOFError, zlib.error, pyarrow.ArrowException) as error:
        yield RawRow(file=path, line=0, fields={}, reason="unreadable file", detail=f"{type(error).__name__}: {error}")


def _find(filesystem: Any, inner: str, suffixes: tuple[str, ...]) -> list[str]:
    if filesystem.isdir(inner):
        if filesystem.isdir(f"{inner}/{SHARDS}"):
            inner = f"{inner}/{SHARDS}"
        return [name for name in filesystem.ls(inner, detail=False) if name.endswith(suffixes)]
    if filesystem.exists(inner):
        return [inner]
    return [name for name in filesystem.glob(inner) if not filesystem.isdir(name)]


def _read_lines(path: str, stream: IO[bytes]) -> Iterator[RawRow]:
    for line, content in enumerate(iter_lines(stream), start=1):
        if line == 1:
            content = content.removeprefix(b"\xef\xbb\xbf")
        if content.strip():
            yield parse_line(path, line, content)


def iter_lines(stream: IO[bytes], limit: int = MAX_LINE) -> Iterator[bytes]:
    """Every line without its end. Of a line beyond `limit` bytes only `limit + 1` are kept, whatever its length.

    Not `for line in stream`: streams of remote file systems read that byte by byte.
    """
    parts: list[bytes] = []
    size = 0
    while chunk := stream.read(_CHUNK):
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            yield b"".join([*parts, line])[: limit + 1] if parts else line[: limit + 1]
            parts, size = [], 0
        if rest and size <= limit:
            parts.append(rest)
            size += len(rest)
    yield b"".join(parts)[: limit + 1]


def parse_line(path: str, line: int, content: bytes, limit: int = MAX_LINE) -> RawRow:
    """One line of JSON as a row, or why it is none."""

    def unreadable(reason: str, detail: str) -> RawRow:
        excerpt = content[:EXCERPT].decode("utf-8", "replace").strip()
        return RawRow(file=path, line=line, fields={}, reason=reason, detail=detail, excerpt=excerpt)

    if len(content) > limit:
        return unreadable("line too long", f"more than {limit / 2**20:g} MiB")
    try:
        fields = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        return unreadable("not UTF-8", str(error))
    except (ValueError, RecursionError) as error:  # JSONDecodeError, or an integer of thousands of digits
        return unreadable("not JSON", str(error))
    if not isinstance(fields, dict):
        return unreadable("not an object", f"{type(fields).__name__}; expected one object a line, as in JSONL")
    return RawRow(file=path, line=line, fields=fields)


def _read_parquet(path: str, stream: IO[bytes]) -> Iterator[RawRow]:
    line = 0
    for batch in pyarrow.parquet.ParquetFile(stream).iter_batches(batch_size=_PARQUET_BATCH):
        for fields in batch.to_pylist():
            line += 1
            yield RawRow(file=path, line=line, fields=fields)


def _scheme(path: str) -> str:
    scheme, separator, _ = path.partition("://")
    return scheme if separator else ""


def open_filesystem(path: str) -> tuple[Any, str]:
    """An fsspec file system and the path inside it."""
    scheme = _scheme(path)
    try:
        if scheme in _ARROW_SCHEMES:
            bucket, _, key = path.removeprefix(f"{scheme}://").partition("/")
            filesystem, root = pyarrow.fs.FileSystem.from_uri(f"{scheme}://{bucket}")
            return ArrowFSWrapper(filesystem), f"{root}/{key}"
        if not scheme:
            return fsspec.filesystem("file"), str(Path(path).expanduser().absolute())
        return fsspec.core.url_to_fs(path)  # type: ignore[no-any-return]
    except (ValueError, ImportError, OSError) as error:
        raise DataError(
            f"{path!r} cannot be opened ({error}). Expected a local path, s3://, gs://, or a scheme whose fsspec "
            "package is installed."
        ) from error


def _looked_in(path: str) -> str:
    return f" (looked from {Path.cwd()})" if is_local(path) and not Path(path).is_absolute() else ""
