"""What deduplication needs of every row, in files cut by partition: a reader of one partition opens no other."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from r1ray.config.jobs import CorpusJobConfig
from r1ray.data.corpus.rows import Row, joined
from r1ray.data.dedup.exact import digest
from r1ray.data.dedup.minhash import band_keys, signatures
from r1ray.data.dedup.shingles import Hashes, Ints, offsets_of, shingle

VARIANT = 1 << 48
"""Added to the number of a row that has a parent: originals go before variants."""


class Keys:
    """Digests and band keys of one unit's rows, gathered batch by batch."""

    def __init__(self, config: CorpusJobConfig) -> None:
        self._config = config
        self._digests: list[Hashes] = []
        self._bands: list[Hashes] = []
        self._band_rows: list[Ints] = []
        self._variants: list[NDArray[np.bool_]] = []
        self._rows = 0

    def add(self, rows: list[Row]) -> None:
        """Take the next rows."""
        dedup = self._config.dedup
        texts = [joined(row, self._config.corpus.text_fields) for row in rows]
        self._digests.append(np.frombuffer(bytes.fromhex("".join(map(digest, texts))), np.uint64).reshape(-1, 2))
        self._variants.append(np.array([bool(row["parent"]) for row in rows]))
        if dedup.near:
            shingles = shingle(texts, dedup.words)
            live = np.flatnonzero(shingles.lengths > 0)
            found = signatures(shingles, dedup.bands * dedup.rows, dedup.seed)
            self._bands.append(band_keys(found, dedup.bands, dedup.rows)[live])
            self._band_rows.append(live + self._rows)
        self._rows += len(rows)

    def digests(self) -> Hashes:
        """uint64 [N, 2]"""
        return np.concatenate([np.zeros((0, 2), np.uint64), *self._digests])

    def bands(self) -> tuple[Hashes, Ints]:
        """Keys uint64 [N' x bands], and the row of each."""
        bands = np.concatenate([np.zeros((0, self._config.dedup.bands), np.uint64), *self._bands])
        rows = np.concatenate([np.zeros(0, np.int64), *self._band_rows])
        return bands.reshape(-1), np.repeat(rows, self._config.dedup.bands)

    def variants(self) -> NDArray[np.bool_]:
        """bool [N]"""
        return np.concatenate([np.zeros(0, np.bool_), *self._variants])


def save_keys(folder: Path, keys: Keys, partitions: int) -> None:
    """Write a unit's keys, those of one partition beside each other."""
    digests, (bands, rows) = keys.digests(), keys.bands()
    _save(folder, "digests", digests, np.arange(len(digests)), digests[:, 0], partitions)
    _save(folder, "bands", bands, rows, bands, partitions)
    np.save(folder / "variants.npy", keys.variants())


def load_keys(folder: Path, name: str, partition: int, base: int) -> tuple[Hashes, Ints]:
    """(values, numbers in the whole corpus) of a unit's `digests` or `bands` in one partition.

    Args:
        base: rows in the units before this one.
    """
    offsets = np.load(folder / f"{name}_offsets.npy")
    part = slice(offsets[partition], offsets[partition + 1])
    values = np.array(np.load(folder / f"{name}.npy", mmap_mode="r")[part])
    rows = np.array(np.load(folder / f"{name}_rows.npy", mmap_mode="r")[part])
    return values, numbers(folder, base)[rows]


def numbers(folder: Path, base: int) -> Ints:
    """The number of each row of a unit in the whole corpus, in order of precedence."""
    variants = np.load(folder / "variants.npy")
    return base + np.arange(len(variants)) + np.where(variants, VARIANT, 0)


def _save(folder: Path, name: str, values: Hashes, rows: Ints, hashes: Hashes, partitions: int) -> None:
    home = (hashes % np.uint64(partitions)).astype(np.int64)
    order = np.argsort(home, kind="stable")
    np.save(folder / f"{name}.npy", values[order])
    np.save(folder / f"{name}_rows.npy", rows[order])
    np.save(folder / f"{name}_offsets.npy", offsets_of(np.bincount(home, minlength=partitions)))
