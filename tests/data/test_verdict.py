import pytest

from r1ray.data.verdict import Drop, Funnel
from r1ray.errors import DataError

SHORT = Drop(stage="clean", reason="number of words", detail="3")
TWICE = Drop(stage="dedup", reason="exact duplicate", detail="a")


def funnel() -> Funnel:
    books = Funnel()
    books.count([None, SHORT, None, TWICE, TWICE])
    books.quarantine(["not JSON"])
    return books


def test_rows_in_are_kept_dropped_and_quarantined():
    books = funnel()
    books.check(6)
    assert books.to_json() == {
        "rows_in": 6,
        "kept": 2,
        "dropped": {"dedup": {"exact duplicate": 2}, "clean": {"number of words": 1}},
        "quarantined": {"not JSON": 1},
    }


def test_books_of_partitions_add_up_in_any_order():
    one, other = funnel(), Funnel()
    other.count([SHORT, None])
    left, right = Funnel(), Funnel()
    for books in (one, other):
        left.add(books)
    for books in (other, one):
        right.add(books)
    assert left == right
    left.check(8)


@pytest.mark.parametrize("read", [5, 7])
def test_a_lost_or_doubled_row_is_an_error(read):
    with pytest.raises(DataError, match=f"{read} rows were read and 6 booked"):
        funnel().check(read)


def test_a_row_kept_behind_the_books_is_an_error():
    books = funnel()
    books.kept += 1
    with pytest.raises(DataError, match="= 7"):
        books.check(6)
