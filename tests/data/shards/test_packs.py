from hypothesis import given
from hypothesis import strategies as st

from r1ray.data.shards.packs import bucket_of, packs_of

lengths = st.lists(st.integers(1, 120), max_size=60)


@given(lengths, st.integers(1, 100))
def test_every_row_is_in_one_pack_and_no_pack_is_too_large(lengths, pack_tokens):
    packs = packs_of(lengths, pack_tokens)
    assert sorted(row for pack in packs for row in pack) == list(range(len(lengths)))
    for pack in packs:
        assert len(pack) == 1 or sum(lengths[row] for row in pack) <= pack_tokens


@given(lengths)
def test_best_fit_decreasing_keeps_its_bound(lengths):
    """11/9 of the least number and 6/9; the least number is at least the sum over the room."""
    packs = packs_of(lengths, 120)
    assert len(packs) >= -(-sum(lengths) // 120)
    assert not any(sum(lengths[r] for r in a) + sum(lengths[r] for r in b) <= 120
                   for n, a in enumerate(packs) for b in packs[:n])  # fmt: skip


def test_a_gap_is_filled_with_the_row_that_fits_best():
    assert packs_of([60, 70, 35, 28], 100) == [[1, 3], [0, 2]]


def test_buckets_are_powers_of_two():
    assert [bucket_of(length) for length in (1, 2, 3, 4, 5, 64, 65)] == [1, 2, 4, 4, 8, 64, 128]
