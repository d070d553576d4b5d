import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.data.dedup.minhash import EMPTY, band_keys, candidate_pairs, candidate_probability, signatures
from r1ray.data.dedup.shingles import Ragged, offsets_of, shingle


def ragged(sets):
    lengths = np.array([len(one) for one in sets], np.int64)
    return Ragged(np.concatenate([np.array(one, np.uint64) for one in sets]), offsets_of(lengths))


@settings(max_examples=20)
@given(st.lists(st.text("ab 1", max_size=20), min_size=1, max_size=6))
def test_a_signature_is_the_same_alone_and_in_any_batch(batch):
    together = signatures(shingle(batch, 2), 16)
    assert all((together[n] == signatures(shingle([text], 2), 16)[0]).all() for n, text in enumerate(batch))


def test_repetitions_and_order_do_not_change_a_signature():
    found = signatures(shingle(["a b c a b c", "c a b c a b b c a"], 1), 64)
    assert (found[0] == found[1]).all()


def test_a_text_without_words_has_an_empty_signature_and_leaves_its_neighbours_alone():
    found = signatures(shingle(["", "a b", "...", "c", ""], 1), 8)
    assert (found[[0, 2, 4]] == EMPTY).all()
    assert (found[1] == signatures(shingle(["a b"], 1), 8)[0]).all()
    assert (found[3] == signatures(shingle(["c"], 1), 8)[0]).all()


def test_the_share_of_equal_minima_estimates_the_jaccard_similarity():
    # 300 values each, 200 in common: J = 200 / 400 = 0.5. Standard error of 4096 functions: sqrt(.25 / 4096) = 0.008.
    values = np.random.default_rng(0).integers(0, 2**64, 400, np.uint64)
    found = signatures(ragged([values[:300], values[100:]]), 4096)
    assert (found[0] == found[1]).mean() == pytest.approx(0.5, abs=0.032)  # four standard errors


def test_another_seed_gives_another_signature():
    one, other = (signatures(shingle(["a b c d e f"], 2), 32, seed) for seed in (1, 2))
    assert (one != other).all()


def test_rows_that_agree_on_one_band_share_one_key():
    found = np.arange(8, dtype=np.uint32).reshape(1, 8).repeat(2, axis=0)
    found[1, 5] = 99  # in the third of four bands
    keys = band_keys(found, bands=4, rows=2)
    assert (keys[0] == keys[1]).tolist() == [True, True, False, True]


def test_the_same_values_in_another_band_have_another_key():
    keys = band_keys(np.full((1, 8), 7, np.uint32), bands=4, rows=2)
    assert len(set(keys[0].tolist())) == 4


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12))
def test_candidates_are_the_pairs_that_share_a_bucket(buckets):
    keys = np.array(buckets, np.uint64).reshape(-1, 2)
    expected = [
        [i, j]
        for i in range(len(buckets))
        for j in range(i + 1, len(buckets))
        if any(a == b for a, b in zip(buckets[i], buckets[j], strict=True))
    ]
    assert candidate_pairs(keys).tolist() == expected


def test_in_a_large_bucket_each_row_is_paired_with_those_that_follow():
    keys = np.zeros((5, 1), np.uint64)
    assert candidate_pairs(keys, max_bucket=2).tolist() == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3], [2, 4], [3, 4]]


def test_rows_that_are_not_live_are_in_no_pair():
    live = np.array([True, False, True])
    assert candidate_pairs(np.zeros((3, 1), np.uint64), live=live).tolist() == [[0, 2]]


def test_the_chance_of_being_proposed_follows_the_bands():
    # 0.85^8 = 0.27249; 1 - 0.72751^16 = 1 - 0.00616 = 0.99384
    assert candidate_probability(0.85) == pytest.approx(0.99384, abs=1e-5)
    assert candidate_probability(0.5, bands=1, rows=1) == 0.5
    assert candidate_probability(1.0) == 1.0
