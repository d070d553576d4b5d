"""Blocks straight out of a folder of shards, wherever fsspec or pyarrow can reach: one ranged read each, verified."""

import io
import threading
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from r1ray.data.files import open_filesystem
from r1ray.data.shards.block import Block
from r1ray.data.shards.manifest import MANIFEST, ShardManifest, check_tokenizer, read_manifest
from r1ray.errors import DataError

_FOOTER = 1 << 16
"""Bytes of a file's end that are read in the hope that they hold its footer."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a block lies."""

    file: str
    row_group: int


class ShardSource:
    """An open folder of shards; safe to read from several threads.

    Args:
        path: folder or URI.
        tokenizer: of the model that will see the ids; None = not compared.
        filesystem: an fsspec file system, where it is not to be found by the path.

    Raises:
        DataError: there is no manifest, a damaged one, or one of another tokenizer.
    """

    def __init__(self, path: str, tokenizer: Any = None, filesystem: Any = None) -> None:
        self.path = path.rstrip("/")
        self._filesystem, self._root = (filesystem, self.path) if filesystem else open_filesystem(self.path)
        where = f"{self.path}/{MANIFEST}"
        try:
            text = self._filesystem.cat_file(f"{self._root}/{MANIFEST}").decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{where} cannot be read ({error}). Expected a folder that shards were written to; writing that broke "
                "off leaves none."
            ) from error
        self.manifest: ShardManifest = read_manifest(text, where)
        if tokenizer is not None:
            check_tokenizer(self.manifest, tokenizer, self.path)
        self.entries = self.manifest.blocks
        self._sizes = {file.name: file.nbytes for file in self.manifest.files}
        self._places = [_Place(file.name, group) for file in self.manifest.files for group in range(len(file.blocks))]
        self._footers: dict[str, pq.FileMetaData] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of blocks."""
        return len(self._places)

    def read(self, number: int) -> Block:
        """One block.

        Raises:
            DataError: its content is not what was written.
        """
        place = self._places[number]
        try:
            footer = self._footer(place.file)
            begin, end = _extent(footer.row_group(place.row_group))
            window = _Window(self._fetch(place.file, begin, end), begin, self._sizes[place.file])
            block = Block(pq.ParquetFile(pa.PythonFile(window), metadata=footer).read_row_group(place.row_group))
            whole = block.digest() == self.entries[number].digest
        except (OSError, pa.ArrowException, ValueError, IndexError) as error:
            raise DataError(self._damaged(place, f"{type(error).__name__}: {error}")) from error
        if not whole:
            raise DataError(self._damaged(place, "its content does not give the hash in the manifest"))
        return block

    def _footer(self, file: str) -> Any:
        with self._lock:
            if file not in self._footers:
                size = self._sizes[file]
                tail = self._fetch(file, max(0, size - _FOOTER), size)
                needed = int.from_bytes(tail[-8:-4], "little") + 8
                if needed > len(tail):
                    tail = self._fetch(file, size - needed, size)
                self._footers[file] = pq.read_metadata(pa.BufferReader(tail))
            return self._footers[file]

    def _fetch(self, file: str, begin: int, end: int) -> bytes:
        content: bytes = self._filesystem.cat_file(f"{self._root}/{file}", start=begin, end=end)
        return content

    def _damaged(self, place: _Place, what: str) -> str:
        return (
            f"Block {place.row_group} of {self.path}/{place.file} cannot be used: {what}. Copy the file anew, or write "
            "the shards anew."
        )


class _Window(io.RawIOBase):
    """A part of a file that passes for the whole: nothing else of it may be read."""

    def __init__(self, content: bytes, begin: int, size: int) -> None:
        super().__init__()
        self._content, self._begin, self._size, self._at = content, begin, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        begin = self._at - self._begin
        end = len(self._content) if size < 0 else begin + size
        if begin < 0 or end > len(self._content):
            raise OSError(f"bytes {self._at} to {self._at + size} lie outside of the block")
        self._at += end - begin
        return self._content[begin:end]


def _extent(group: Any) -> tuple[int, int]:
    """Where a row group's pages begin and end."""
    columns = [group.column(index) for index in range(group.num_columns)]
    begins = [column.dictionary_page_offset or column.data_page_offset for column in columns]
    ends = [begin + column.total_compressed_size for begin, column in zip(begins, columns, strict=True)]
    return min(begins), max(ends)
