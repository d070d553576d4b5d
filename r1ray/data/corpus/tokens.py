"""Stage `tokens`: each shard of rows as packed shards of token ids, for the tiered loader."""

import functools
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from r1ray.config.jobs import CorpusJobConfig
from r1ray.data.corpus.pieces import RESULT, Pieces
from r1ray.data.corpus.rows import Row
from r1ray.data.corpus.shards import SHARDS
from r1ray.data.shards.manifest import BlockEntry, ShardFile
from r1ray.data.shards.writer import ShardPart, finish_shards, write_part

TOKENS = "tokens"


def tokenise_shard(pieces: Pieces, shard: int, config: CorpusJobConfig) -> dict[str, Any]:
    """The token rows of one shard, as files of their own."""
    source = pieces.folder(SHARDS, shard) / pieces.result(SHARDS, shard)["shard"]["name"]
    with pieces.writing(TOKENS, shard) as folder:
        part = write_part(_rows(source), folder, shard, load_tokenizer(config.corpus.tokenizer), config.shards)
        return pieces.save_result(folder, asdict(part))


def collect_tokens(pieces: Pieces, shards: int, folder: Path, config: CorpusJobConfig) -> dict[str, Any]:
    """All token shards under one manifest; returns what the corpus's manifest says of them."""
    folder.mkdir()
    parts = []
    for shard in range(shards):
        for path in pieces.folder(TOKENS, shard).iterdir():
            if path.name != RESULT:
                (folder / path.name).write_bytes(path.read_bytes())
        parts.append(_part(pieces.result(TOKENS, shard)))
    manifest = finish_shards(folder, parts, load_tokenizer(config.corpus.tokenizer), config.shards)
    return {
        "content_hash": manifest.content_hash,
        "skipped": manifest.skipped,
        **manifest.counts,
    }


@functools.lru_cache(maxsize=1)
def load_tokenizer(path: str) -> Any:
    """The tokenizer of a model, once in each process."""
    from r1ray.models.loading import load_tokenizer as load  # torch: only where tokens are wanted

    return load(path)


def _rows(source: Path) -> Iterator[Row]:
    for batch in pq.ParquetFile(source).iter_batches(batch_size=1000):
        for row in batch.to_pylist():
            yield {name: value for name, value in row.items() if value != ""}


def _part(result: dict[str, Any]) -> ShardPart:
    files = tuple(
        ShardFile(**{**file, "blocks": tuple(BlockEntry(**block) for block in file["blocks"])})
        for file in result["files"]
    )
    return ShardPart(**{**result, "files": files})
