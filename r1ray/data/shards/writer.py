"""Token rows into parquet files: a bucket of like lengths fills a block at a time, so memory stays bounded.

Everything follows from the rows and their order: the same rows give the same bytes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from r1ray.config.shards import ShardsConfig
from r1ray.data.encoding import Tokenizer
from r1ray.data.shards.block import SCHEMA, Block, make_block
from r1ray.data.shards.manifest import (
    MANIFEST,
    BlockEntry,
    ShardFile,
    ShardManifest,
    merge_counts,
    template_hash,
    tokenizer_hash,
)
from r1ray.data.shards.packs import bucket_of, packs_of
from r1ray.data.shards.rows import ShardRow, tokenise_row
from r1ray.data.sift import BadRow
from r1ray.errors import DataError
from r1ray.runs.files import hash_file, write_json


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardPart:
    """The files that one writer wrote."""

    files: tuple[ShardFile, ...]
    skipped: dict[str, int]
    """Corpus rows that gave no token row, by reason."""


def write_shards(
    rows: Iterable[Mapping[str, Any]], folder: Path, tokenizer: Tokenizer, config: ShardsConfig
) -> ShardManifest:
    """Corpus rows as a finished folder of shards, in one go."""
    return finish_shards(folder, [write_part(rows, folder, 0, tokenizer, config)], tokenizer, config)


def write_part(
    rows: Iterable[Mapping[str, Any]], folder: Path, part: int, tokenizer: Tokenizer, config: ShardsConfig
) -> ShardPart:
    """One partition's rows as files of its own: several writers may work on one folder. A part that was written before
    is written over.

    Args:
        rows: corpus rows in an order that does not depend on the machine.
        folder: of the shards.
        part: number of the partition.
        tokenizer: of the model that will read them.
        config: lengths and sizes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob(f"{_prefix(part)}-*.parquet"):
        stale.unlink()
    skipped: Counter[str] = Counter()
    waiting: dict[int, list[ShardRow]] = {}
    tokens: Counter[int] = Counter()
    corpus_rows: Counter[int] = Counter()
    with _Files(folder, part, config) as files:
        for row in rows:
            try:
                token_rows = tokenise_row(row, tokenizer, config)
            except BadRow as error:
                skipped[error.reason] += 1
                continue
            for piece, token_row in enumerate(token_rows):
                length = len(token_row.token_ids)
                bucket = bucket_of(length)
                if tokens[bucket] + length > config.block_tokens:
                    files.add(waiting.pop(bucket), bucket, corpus_rows.pop(bucket, 0))
                    tokens[bucket] = 0
                waiting.setdefault(bucket, []).append(token_row)
                tokens[bucket] += length
                corpus_rows[bucket] += piece == 0
        for bucket in sorted(waiting):
            files.add(waiting[bucket], bucket, corpus_rows[bucket])
    return ShardPart(files=tuple(files.written), skipped=dict(skipped))


def finish_shards(
    folder: Path, parts: Sequence[ShardPart], tokenizer: Tokenizer, config: ShardsConfig
) -> ShardManifest:
    """Write the manifest over all parts, in their order; only with it is the folder a set of shards.

    Raises:
        DataError: there is not one row.
    """
    manifest = ShardManifest(
        files=tuple(file for part in parts for file in part.files),
        tokenizer=tokenizer_hash(tokenizer),
        template=template_hash(tokenizer),
        config=asdict(config),
        skipped=merge_counts(part.skipped for part in parts),
    )
    if not manifest.files:
        raise DataError(
            f"No row can be learned from: {manifest.skipped or 'there were none'}. Expected rows with `text`, problems "
            "with solutions, or conversations."
        )
    write_json(folder / MANIFEST, manifest.to_json())
    return manifest


class _Files:
    """Parquet files filled one after the other; each is renamed to its name once it is whole."""

    def __init__(self, folder: Path, part: int, config: ShardsConfig) -> None:
        self._folder, self._part, self._config = folder, part, config
        self._writer: Any = None
        self._blocks: list[BlockEntry] = []
        self.written: list[ShardFile] = []

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if self._writer is not None and kind is None:
            self._close()
        elif self._writer is not None:
            self._writer.close()
            self._temporary.unlink(missing_ok=True)

    def add(self, rows: Sequence[ShardRow], bucket: int, corpus_rows: int) -> None:
        packs = packs_of([len(row.token_ids) for row in rows], self._config.pack_tokens)
        block = make_block(rows, packs)
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._temporary,
                SCHEMA,
                compression=self._config.compression,
                use_dictionary=False,
                write_statistics=False,
            )
        self._writer.write_batch(block.batch, row_group_size=len(rows))
        self._blocks.append(_entry(block, rows, bucket, corpus_rows))
        if sum(entry.tokens for entry in self._blocks) + self._config.block_tokens > self._config.file_tokens:
            self._close()

    def _close(self) -> None:
        self._writer.close()
        self._writer = None
        path = self._folder / f"{_prefix(self._part)}-{len(self.written):05d}.parquet"
        self._temporary.replace(path)
        self.written.append(
            ShardFile(name=path.name, sha256=hash_file(path), nbytes=path.stat().st_size, blocks=tuple(self._blocks))
        )
        self._blocks = []

    @property
    def _temporary(self) -> Path:
        return self._folder / f".{_prefix(self._part)}.tmp"


def _prefix(part: int) -> str:
    return f"part-{part:05d}"


def _entry(block: Block, rows: Sequence[ShardRow], bucket: int, corpus_rows: int) -> BlockEntry:
    return BlockEntry(
        rows=len(rows),
        corpus_rows=corpus_rows,
        packs=len(block.packs),
        tokens=sum(len(row.token_ids) for row in rows),
        learned=sum(sum(row.learned[1::2]) - sum(row.learned[::2]) for row in rows),
        bucket=bucket,
        nbytes=block.nbytes,
        digest=block.digest(),
    )
