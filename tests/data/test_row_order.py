"""The order of rows: every row once an epoch, the same for the same seed, domains by their share."""

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.data.row_order import Position, RowOrder, share_of
from r1ray.errors import CheckpointError, DataError

ROWS = {f"r{n}": 10 + n for n in range(20)}


def epoch(order: RowOrder, number: int, **size: int) -> list[list[str]]:
    at, batches = Position(number, 0), []
    while at.epoch == number:
        rows, at = order.take(at, **size)
        batches.append(rows)
    assert at == Position(number + 1, 0)
    return batches


@given(st.integers(0, 5), st.integers(1, 25), st.integers(1, 120))
def test_every_row_comes_once_an_epoch_whatever_the_size_of_a_batch(number: int, rows: int, tokens: int) -> None:
    order = RowOrder(ROWS, seed=1)
    by_rows, by_tokens = epoch(order, number, rows=rows), epoch(order, number, tokens=tokens)
    assert sorted([*chain(*by_rows)]) == sorted([*chain(*by_tokens)]) == sorted(ROWS)
    assert [*chain(*by_rows)] == [*chain(*by_tokens)]  # the order does not depend on it
    assert all(len(batch) == 1 or sum(ROWS[row] for row in batch) <= tokens for batch in by_tokens)


def test_epochs_differ_and_seeds_differ_and_neither_depends_on_the_order_of_the_rows() -> None:
    one, shuffled = RowOrder(ROWS, seed=1), RowOrder(dict(reversed(ROWS.items())), seed=1)
    assert epoch(one, 0, rows=20) == epoch(shuffled, 0, rows=20)
    assert epoch(one, 0, rows=20) != epoch(one, 1, rows=20)
    assert epoch(one, 0, rows=20) != epoch(RowOrder(ROWS, seed=2), 0, rows=20)
    assert one.batches(3, rows=8) == 9
    assert one.fraction(Position(1, 10), 3) == pytest.approx(0.5)


def test_a_domain_has_its_share_of_every_epoch_and_goes_round_for_itself() -> None:
    domain = {f"d{n}": 5 for n in range(7)}
    order = RowOrder(ROWS, 1, {"medicine": (domain, 0.2)})
    assert order.rows_per_epoch == 25  # 20 rows are four fifths
    seen = [[row for row in epoch(order, number, rows=25)[0] if row in domain] for number in range(7)]
    assert [len(rows) for rows in seen] == [5] * 7
    assert sorted([*chain(*seen)]) == sorted([*domain] * 5)


def test_other_rows_or_another_seed_are_refused() -> None:
    state = RowOrder(ROWS, 1).state()
    RowOrder(ROWS, 1).check(state)
    for other in (RowOrder({**ROWS, "new": 1}, 1), RowOrder(ROWS, 2)):
        with pytest.raises(CheckpointError, match="made with other rows: 20"):
            other.check(state)


def test_no_rows_and_rows_of_two_domains_are_refused() -> None:
    with pytest.raises(DataError, match="no row to learn"):
        RowOrder({}, 1)
    with pytest.raises(DataError, match="another one has too"):
        RowOrder(ROWS, 1, {"medicine": ({"r3": 5}, 0.5)})


@given(st.integers(1, 6), st.lists(st.sampled_from(sorted(ROWS)), unique=True))
def test_ranks_share_a_batch_without_a_gap(ranks: int, batch: list[str]) -> None:
    shares = [share_of(batch, ROWS.__getitem__, rank, ranks) for rank in range(ranks)]
    assert sorted([*chain(*shares)]) == sorted(batch)
    loads = [sum(ROWS[row] for row in share) for share in shares]
    assert max(loads) - min(loads) <= max((ROWS[row] for row in batch), default=0)
