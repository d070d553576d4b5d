"""Stages `embed` and `meaning`: of the rows that are left, those that say the same in other words."""

import functools
from typing import Any

import numpy as np

from r1ray.config.classify import SemanticDedupConfig
from r1ray.config.jobs import CorpusJobConfig
from r1ray.data.corpus.duplicates import texts_at
from r1ray.data.corpus.keys import numbers
from r1ray.data.corpus.left import Parts, left_mask, left_tables
from r1ray.data.corpus.pieces import Pieces
from r1ray.data.corpus.read import ROWS, STAGE
from r1ray.data.corpus.rows import joined
from r1ray.data.dedup.semantic import cosine_pairs, verified
from r1ray.data.dedup.shingles import Ints
from r1ray.data.dedup.verify import select

EMBED, MEANING = "embed", "meaning"
_EXAMPLES = 3


def embed_unit(pieces: Pieces, unit: int, base: int, parts: Parts, config: CorpusJobConfig) -> dict[str, Any]:
    """A vector of each row of a unit that is left.

    Args:
        base: rows in the units before this one.
    """
    fields = config.corpus.text_fields
    tables = left_tables(pieces, unit, base, parts, columns=list(fields))
    texts = [joined(row, fields) for table in tables for row in table.to_pylist()]
    vectors = np.asarray(load_embedder(config.semantic)(texts), np.float32)
    left = left_mask(pieces, unit, base, parts)
    with pieces.writing(EMBED, unit) as folder:
        np.save(folder / "rows.npy", numbers(pieces.folder(STAGE, unit), base)[left])
        np.save(folder / "places.npy", np.flatnonzero(left))
        np.save(folder / "vectors.npy", vectors)
        return pieces.save_result(folder, {"rows": len(texts)})


def find_meanings(pieces: Pieces, units: int, config: CorpusJobConfig) -> dict[str, Any]:
    """Who goes, and the row that stays for it. All vectors are held together; texts, only those of rows in a pair."""
    parts = [pieces.folder(EMBED, unit) for unit in range(units)]
    rows = np.concatenate([np.load(part / "rows.npy") for part in parts])
    order = np.argsort(rows)  # of precedence
    vectors = np.concatenate([np.load(part / "vectors.npy") for part in parts])[order]
    pairs = cosine_pairs(vectors, config.semantic.threshold)
    suspects = np.unique(pairs)
    texts, families = _texts_of(pieces, order[suspects], config)
    local = verified(texts, np.searchsorted(suspects, pairs), config.semantic)
    duplicate_of = select(len(suspects), local, families)
    dropped = np.flatnonzero(duplicate_of >= 0)
    kept = duplicate_of[dropped]
    examples = [
        {"similarity": "meaning", "kept": texts[one][:200], "dropped": texts[other][:200]}
        for one, other in list(zip(kept.tolist(), dropped.tolist(), strict=True))[:_EXAMPLES]
    ]
    with pieces.writing(MEANING) as folder:
        np.save(folder / "dropped.npy", rows[order][suspects[dropped]])
        np.save(folder / "first.npy", rows[order][suspects[kept]])
        return pieces.save_result(folder, {"pairs": len(pairs), "dropped": len(dropped), "examples": examples})


@functools.lru_cache(maxsize=1)
def load_embedder(config: SemanticDedupConfig) -> Any:
    """The model whose hidden states are averaged, once in each process."""
    from r1ray.models.embedding import Embedder  # torch: only where it is asked for

    return Embedder(config.model, max_tokens=config.max_tokens, batch_tokens=config.batch_tokens)


def _texts_of(pieces: Pieces, wanted: Ints, config: CorpusJobConfig) -> tuple[list[str], list[str]]:
    """(text, family) of rows, by their places among all embedded ones."""
    texts, families = [""] * len(wanted), [""] * len(wanted)
    start = unit = 0
    while (folder := pieces.folder(EMBED, unit)).is_dir():
        places = np.load(folder / "places.npy")
        here = np.flatnonzero((wanted >= start) & (wanted < start + len(places)))
        found = texts_at(pieces.folder(STAGE, unit) / ROWS, places[wanted[here] - start], config)
        for place, text, family in zip(here.tolist(), *found, strict=True):
            texts[place], families[place] = text, family
        start, unit = start + len(places), unit + 1
    return texts, families
