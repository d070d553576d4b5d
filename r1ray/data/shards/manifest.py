"""What a folder of shards says about itself: files, blocks, counts, and the tokenizer that made the ids."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from r1ray.errors import DataError

MANIFEST = "shards.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockEntry:
    """One block, as it can be known without reading it."""

    rows: int
    corpus_rows: int
    """Corpus rows that begin here: of the pieces of a document, the first counts."""
    packs: int
    tokens: int
    learned: int
    """Tokens that a loss counts."""
    bucket: int
    """Longest row that the bucket takes."""
    nbytes: int
    """Decoded, in memory."""
    digest: str
    """SHA-256 of the content."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardFile:
    """One parquet file; its blocks are its row groups, in order."""

    name: str
    sha256: str
    nbytes: int
    blocks: tuple[BlockEntry, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardManifest:
    """A whole folder."""

    files: tuple[ShardFile, ...]
    tokenizer: str
    """Hash of vocabulary, merges and rules: ids of another tokenizer would be other words."""
    template: str
    """Hash of the chat template."""
    config: dict[str, Any]
    """Settings that the rows were made with."""
    skipped: dict[str, int]
    """Corpus rows that gave no token row, by reason."""

    @property
    def blocks(self) -> list[BlockEntry]:
        """Of all files, in order: their place here is their number everywhere else."""
        return [block for file in self.files for block in file.blocks]

    @property
    def content_hash(self) -> str:
        """Names what a model would be shown: tokenizer, template, and every block in order."""
        names = [self.tokenizer, self.template, *(block.digest for block in self.blocks)]
        return hashlib.sha256("\n".join(names).encode()).hexdigest()

    @property
    def counts(self) -> dict[str, int | float]:
        """Totals, for people."""
        blocks = self.blocks
        packs = sum(block.packs for block in blocks)
        tokens = sum(block.tokens for block in blocks)
        room = packs * int(self.config["pack_tokens"])
        return {
            "rows": sum(block.rows for block in blocks),
            "corpus_rows": sum(block.corpus_rows for block in blocks),
            "packs": packs,
            "blocks": len(blocks),
            "tokens": tokens,
            "learned_tokens": sum(block.learned for block in blocks),
            "pack_fill": round(tokens / room, 4) if room else 0.0,
        }

    def to_json(self) -> dict[str, Any]:
        """For the file."""
        rows_by_bucket: dict[str, int] = {}
        for block in self.blocks:
            rows_by_bucket[str(block.bucket)] = rows_by_bucket.get(str(block.bucket), 0) + block.rows
        return {
            "format": FORMAT,
            "content_hash": self.content_hash,
            "tokenizer": self.tokenizer,
            "template": self.template,
            "config": self.config,
            "counts": self.counts,
            "rows_by_bucket": dict(sorted(rows_by_bucket.items(), key=lambda item: int(item[0]))),
            "skipped": self.skipped,
            "files": [asdict(file) for file in self.files],
        }


def read_manifest(text: str, where: str) -> ShardManifest:
    """A manifest out of its file's content.

    Raises:
        DataError: it is none, of another format, or was changed by hand.
    """
    try:
        found = json.loads(text)
        if found["format"] != FORMAT:
            raise DataError(f"{where} has format {found['format']}; this r1ray reads {FORMAT}. Write the shards anew.")
        manifest = ShardManifest(
            files=tuple(
                ShardFile(**{**file, "blocks": tuple(BlockEntry(**block) for block in file["blocks"])})
                for file in found["files"]
            ),
            tokenizer=found["tokenizer"],
            template=found["template"],
            config=found["config"],
            skipped=found["skipped"],
        )
        stated = found["content_hash"]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise DataError(f"{where} is no manifest of shards ({error!r}). Write the shards anew.") from error
    if stated != manifest.content_hash:
        raise DataError(f"{where} contradicts itself: its blocks do not give its content hash. Write the shards anew.")
    return manifest


def utilisation(manifest: ShardManifest, rows_read: int) -> float:
    """Share of the raw rows that ended in shards; 0 where none was read.

    Raises:
        DataError: more rows are in shards than were read.
    """
    used = int(manifest.counts["corpus_rows"])
    if used > rows_read:
        raise DataError(
            f"{used} rows ended in shards, but {rows_read} were read. Count variants and synthetic rows as read too, "
            "or leave them out of both."
        )
    return used / rows_read if rows_read else 0.0


def merge_counts(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Sums by key, largest first."""
    sums: dict[str, int] = {}
    for part in parts:
        for key, count in part.items():
            sums[key] = sums.get(key, 0) + count
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def tokenizer_hash(tokenizer: Any) -> str:
    """SHA-256 of what turns text into ids, whatever padding or truncation was last asked of it."""
    if backend := getattr(tokenizer, "backend_tokenizer", None):
        rules = json.loads(backend.to_str())
        content: Any = {key: value for key, value in rules.items() if key not in ("padding", "truncation")}
    else:
        content = sorted(tokenizer.get_vocab().items())
    return _sha256(json.dumps(content, sort_keys=True))


def template_hash(tokenizer: Any) -> str:
    """SHA-256 of the chat template; of nothing where there is none."""
    return _sha256(str(tokenizer.chat_template or ""))


def check_tokenizer(manifest: ShardManifest, tokenizer: Any, where: str) -> None:
    """The shards' ids are this tokenizer's.

    Raises:
        DataError: they are another's, or were made with another chat template.
    """
    pairs: Sequence[tuple[str, str, str]] = (
        ("tokenizer", manifest.tokenizer, tokenizer_hash(tokenizer)),
        ("chat template", manifest.template, template_hash(tokenizer)),
    )
    for name, expected, came in pairs:
        if expected != came:
            raise DataError(
                f"The shards in {where} were written with another {name} ({expected[:12]}) than the model's "
                f"({came[:12]}). Write them anew with this model's tokenizer, or train the model they were made for."
            )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
