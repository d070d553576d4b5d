"""Stages `exact` to `verify`: which rows are duplicates, found one partition at a time.

exact     rows of equal digests: all but the first go
buckets   rows that share a band of their MinHash signature: candidate pairs
graph     connected candidates come into one group; the rows in them are the suspects
suspects  the shingles of each unit's suspects
verify    true Jaccard similarity of a group's pairs, and who goes
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from r1ray.config.jobs import CorpusJobConfig
from r1ray.data.corpus.keys import load_keys, numbers
from r1ray.data.corpus.pieces import Pieces
from r1ray.data.corpus.read import ROWS
from r1ray.data.corpus.rows import joined
from r1ray.data.dedup.minhash import candidate_pairs
from r1ray.data.dedup.shingles import Hashes, Ints, Ragged, offsets_of, shingle
from r1ray.data.dedup.verify import jaccard, select

EXACT, BUCKETS, GRAPH, SUSPECTS, VERIFY = "exact", "buckets", "graph", "suspects", "verify"
_GROUP_ROWS = 5_000
"""Suspects in one group of `verify`, where no component is larger."""
_EXAMPLES = 3


def find_exact(pieces: Pieces, partition: int, bases: Ints) -> dict[str, Any]:
    """Of rows with equal digests, all but the first: their numbers, and the first one's."""
    parts = [
        load_keys(pieces.folder("read", unit), "digests", partition, int(base)) for unit, base in enumerate(bases[:-1])
    ]
    digests = np.concatenate([values for values, _ in parts])
    rows = np.concatenate([found for _, found in parts])
    order = np.lexsort((rows, digests[:, 1], digests[:, 0]))
    digests, rows = digests[order], rows[order]
    new = np.ones(len(rows), np.bool_)
    new[1:] = (digests[1:] != digests[:-1]).any(axis=1)
    first = rows[new][np.cumsum(new) - 1] if len(rows) else rows
    with pieces.writing(EXACT, partition) as folder:
        np.save(folder / "dropped.npy", rows[~new])
        np.save(folder / "first.npy", first[~new])
        return pieces.save_result(folder, {"dropped": int((~new).sum())})


def find_candidates(pieces: Pieces, partition: int, bases: Ints, exact: int, config: CorpusJobConfig) -> dict[str, Any]:
    """Pairs of rows that share a bucket of this partition.

    Args:
        exact: partitions of stage `exact`; 0 = it did not run.
    """
    parts = [
        load_keys(pieces.folder("read", unit), "bands", partition, int(base)) for unit, base in enumerate(bases[:-1])
    ]
    keys = np.concatenate([values for values, _ in parts])
    rows = np.concatenate([found for _, found in parts])
    live = ~np.isin(rows, dropped_rows(pieces, EXACT, exact))
    keys, rows = keys[live], rows[live]
    order = np.argsort(rows, kind="stable")
    keys, rows = keys[order], rows[order]
    pairs = np.unique(rows[candidate_pairs(keys[:, None], config.dedup.max_bucket)], axis=0)
    with pieces.writing(BUCKETS, partition) as folder:
        np.save(folder / "pairs.npy", pairs)
        return pieces.save_result(folder, {"pairs": len(pairs)})


def build_graph(pieces: Pieces, partitions: int) -> dict[str, Any]:
    """All candidate pairs, once each, with connected ones in one group. In the driver: 16 bytes a pair."""
    found = [np.load(pieces.folder(BUCKETS, number) / "pairs.npy") for number in range(partitions)]
    pairs = np.unique(np.concatenate(found), axis=0)
    rows, local = np.unique(pairs, return_inverse=True)
    local = local.reshape(pairs.shape)
    ones = np.ones(len(pairs), np.int8)
    _, component = connected_components(coo_array((ones, (local[:, 0], local[:, 1])), shape=(len(rows), len(rows))))
    sizes = np.bincount(component) if len(rows) else np.zeros(0, np.int64)
    home = (np.cumsum(sizes) - 1) // _GROUP_ROWS  # components in their order, filled up to about that many rows
    groups = int(home[-1]) + 1 if len(home) else 0
    group = home[component] if len(rows) else np.zeros(0, np.int64)
    pair_group = group[local[:, 0]] if len(pairs) else np.zeros(0, np.int64)
    with pieces.writing(GRAPH) as folder:
        np.save(folder / "rows.npy", rows)
        np.save(folder / "groups.npy", group)
        order = np.argsort(pair_group, kind="stable")
        np.save(folder / "pairs.npy", pairs[order])
        np.save(folder / "pairs_offsets.npy", offsets_of(np.bincount(pair_group, minlength=groups)))
        return pieces.save_result(folder, {"pairs": len(pairs), "rows": len(rows), "groups": groups})


def extract_suspects(pieces: Pieces, unit: int, base: int, config: CorpusJobConfig) -> dict[str, Any]:
    """The shingles of a unit's suspects, those of one group beside each other."""
    graph = pieces.folder(GRAPH)
    suspects, groups = np.load(graph / "rows.npy"), np.load(graph / "groups.npy")
    names = numbers(pieces.folder("read", unit), base)
    places = np.flatnonzero(np.isin(names, suspects))
    group = groups[np.searchsorted(suspects, names[places])]
    order = np.lexsort((names[places], group))
    places, group = places[order], group[order]
    texts, families = texts_at(pieces.folder("read", unit) / ROWS, places, config)
    shingles = shingle(texts, config.dedup.words)
    with pieces.writing(SUSPECTS, unit) as folder:
        np.save(folder / "rows.npy", names[places])
        np.save(
            folder / "groups_offsets.npy", offsets_of(np.bincount(group, minlength=int(groups.max(initial=-1)) + 1))
        )
        np.save(folder / "values.npy", shingles.values)
        np.save(folder / "offsets.npy", shingles.offsets)
        np.save(folder / "families.npy", np.array(families, "U16"))
        np.save(folder / "excerpts.npy", np.array([text[:200].replace("\0", "") for text in texts], "U200"))
        return pieces.save_result(folder, {"rows": len(places)})


def verify_group(pieces: Pieces, group: int, units: int, config: CorpusJobConfig) -> dict[str, Any]:
    """Near duplicates of one group: who goes, and the row that stays for it."""
    rows, shingles, families, excerpts = _gather(pieces, group, units)
    graph = pieces.folder(GRAPH)
    offsets = np.load(graph / "pairs_offsets.npy")
    pairs = np.searchsorted(rows, np.load(graph / "pairs.npy", mmap_mode="r")[offsets[group] : offsets[group + 1]])
    similarity = jaccard(shingles, pairs)
    near = similarity >= config.dedup.threshold
    duplicate_of = select(len(rows), pairs[near], families)
    dropped = np.flatnonzero(duplicate_of >= 0)
    kept = duplicate_of[dropped]
    share = {(int(a), int(b)): float(s) for (a, b), s in zip(pairs[near], similarity[near], strict=True)}
    examples = [
        {"similarity": round(share[int(b), int(a)], 3), "kept": str(excerpts[b]), "dropped": str(excerpts[a])}
        for a, b in list(zip(dropped.tolist(), kept.tolist(), strict=True))[:_EXAMPLES]
    ]
    with pieces.writing(VERIFY, group) as folder:
        np.save(folder / "dropped.npy", rows[dropped])
        np.save(folder / "first.npy", rows[kept])
        result = {"pairs": len(pairs), "near": int(near.sum()), "dropped": len(dropped), "examples": examples}
        return pieces.save_result(folder, result)


def dropped_rows(pieces: Pieces, stage: str, parts: int) -> Ints:
    """The numbers of all rows that a stage took out, ascending."""
    found = [np.load(pieces.folder(stage, part) / "dropped.npy") for part in range(parts)]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))


def texts_at(path: Path, places: Ints, config: CorpusJobConfig) -> tuple[list[str], list[str]]:
    """(text, family) of the rows at these places of a unit; a row group at a time."""
    fields = config.corpus.text_fields
    texts, families = [""] * len(places), [""] * len(places)
    order = np.argsort(places)
    wanted, next_one, start = places[order], 0, 0
    file = pq.ParquetFile(path)
    for number in range(file.num_row_groups):
        size = file.metadata.row_group(number).num_rows
        last = int(np.searchsorted(wanted, start + size))
        if last > next_one:
            table = file.read_row_group(number, columns=[*fields, "id", "parent"])
            chosen = table.take(wanted[next_one:last] - start).to_pylist()
            for place, row in zip(order[next_one:last].tolist(), chosen, strict=True):
                texts[place] = joined(row, fields)
                families[place] = row["parent"] or row["id"]
            next_one = last
        start += size
    return texts, families


def _gather(pieces: Pieces, group: int, units: int) -> tuple[Ints, Ragged, list[str], NDArray[np.str_]]:
    """Numbers (ascending), shingles, families and beginnings of a group's rows, from all units."""
    rows, families, excerpts = [], [], []
    values: list[Hashes] = []
    lengths: list[Ints] = []
    for unit in range(units):
        folder = pieces.folder(SUSPECTS, unit)
        begin, end = np.load(folder / "groups_offsets.npy")[group : group + 2]
        if begin == end:
            continue
        offsets = np.load(folder / "offsets.npy")[begin : end + 1]
        rows.append(np.load(folder / "rows.npy")[begin:end])
        lengths.append(np.diff(offsets))
        values.append(np.array(np.load(folder / "values.npy", mmap_mode="r")[offsets[0] : offsets[-1]]))
        families.append(np.load(folder / "families.npy")[begin:end])
        excerpts.append(np.load(folder / "excerpts.npy")[begin:end])
    number, sizes = np.concatenate(rows), np.concatenate(lengths)
    whole = Ragged(np.concatenate(values), offsets_of(sizes))
    order = np.argsort(number)
    sorted_values = [whole[row] for row in order.tolist()]
    ragged = Ragged(np.concatenate(sorted_values), offsets_of(sizes[order]))
    return (
        number[order],
        ragged,
        np.concatenate(families)[order].tolist(),
        np.concatenate(excerpts)[order],
    )
