import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.data.dedup import verify
from r1ray.data.dedup.shingles import Ragged, offsets_of
from r1ray.data.dedup.verify import clusters, jaccard, near_pairs, select

sets = st.lists(st.lists(st.integers(0, 6), max_size=6), min_size=2, max_size=6)


def ragged(parts):
    values = [np.array(part, np.uint64) for part in parts]
    return Ragged(np.concatenate(values), offsets_of(np.array([len(part) for part in parts], np.int64)))


def all_pairs(number):
    return np.array([(i, j) for i in range(number) for j in range(i + 1, number)], np.int64).reshape(-1, 2)


@settings(max_examples=40)
@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@given(parts=sets)
def test_similarity_is_that_of_the_sets_whatever_the_block(parts, block):
    pairs = all_pairs(len(parts))
    expected = [
        len(set(parts[i]) & set(parts[j])) / max(1, len(set(parts[i]) | set(parts[j]))) for i, j in pairs.tolist()
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "_BLOCK", block)
        assert jaccard(ragged(parts), pairs).tolist() == pytest.approx(expected)


def test_no_pairs_have_no_similarities():
    assert jaccard(ragged([[1], [2]]), np.zeros((0, 2), np.int64)).shape == (0,)


def test_the_threshold_is_reached_by_equality():
    # 17 of 20 in common: 17 / 20 = 0.85
    shingles = ragged([list(range(20)), list(range(17)), list(range(16))])
    assert near_pairs(shingles, all_pairs(3), 0.85).tolist() == [[0, 1], [1, 2]]


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=10), st.randoms())
def test_clusters_are_connected_components_named_by_their_smallest_row(edges, rng):
    pairs = np.array(edges, np.int64).reshape(-1, 2)
    reach = np.eye(8, dtype=int)
    for one, other in edges:
        reach[one, other] = reach[other, one] = 1
    expected = (np.linalg.matrix_power(reach, 8) > 0).argmax(axis=1)
    assert clusters(8, pairs).tolist() == expected.tolist()
    shuffled = pairs[rng.sample(range(len(pairs)), len(pairs))]
    assert clusters(8, shuffled).tolist() == expected.tolist()


def test_a_chain_of_small_changes_keeps_every_second_row():
    # 0-1-2-3-4: 1 is near to 0 and goes; 2 is near to 1 alone, which is gone, and stays
    chain = np.array([[0, 1], [1, 2], [2, 3], [3, 4]], np.int64)
    assert select(5, chain).tolist() == [-1, 0, -1, 2, -1]


@given(st.sets(st.tuples(st.integers(0, 5), st.integers(6, 11)), max_size=12))
def test_every_dropped_row_is_near_to_a_kept_one_and_no_two_kept_rows_are_near(edges):
    found = select(12, np.array(sorted(edges), np.int64).reshape(-1, 2)).tolist()
    for row, first in enumerate(found):
        assert first == -1 or ((first, row) in edges and found[first] == -1)
    assert all(found[one] >= 0 or found[other] >= 0 for one, other in edges)


def test_rows_of_one_family_do_not_replace_one_another_but_strangers_do():
    pairs = np.array([[0, 1], [0, 2], [1, 2]], np.int64)
    assert select(3, pairs, ["a", "a", "b"]).tolist() == [-1, -1, 0]
    assert select(3, pairs, ["", "", ""]).tolist() == [-1, 0, 0]
