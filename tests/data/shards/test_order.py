import hashlib
from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.data.shards.order import NEVER, ShardOrder

counts = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def make_order(counts, seed=0, window=0, batch=4, rank=0, world=1):
    return ShardOrder(counts, seed=seed, window_blocks=window, batch=batch, rank=rank, world=world)


@given(counts, st.integers(0, 3), st.integers(0, 4), st.integers(0, 5))
def test_each_item_comes_once_an_epoch(counts, seed, window, epoch):
    order = make_order(counts, seed, window)
    found = order.items(epoch * len(order), (epoch + 1) * len(order))
    assert sorted(found) == [(block, place) for block, count in enumerate(counts) for place in range(count)]


@given(counts, st.integers(1, 4), st.integers(1, 12), st.data())
def test_ranks_take_every_item_of_a_step_once(counts, world, batch, data):
    batch = max(batch, world)
    step = data.draw(st.integers(0, 8))
    whole = make_order(counts, batch=batch).items(step * batch, (step + 1) * batch)
    shares = [
        make_order(counts, batch=batch, rank=rank, world=world).items(step * batch, (step + 1) * batch)
        for rank in range(world)
    ]
    assert Counter(item for share in shares for item in share) == Counter(whole)
    assert [item for row in zip(*shares, strict=False) for item in row] == whole[: world * (batch // world)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(counts, st.integers(1, 4))
def test_a_window_reads_its_blocks_to_the_end_before_the_next(counts, window):
    order = make_order(counts, window=window)
    blocks = [block for block, _ in order.items(0, len(order))]
    last = {block: place for place, block in enumerate(blocks)}
    first = {block: blocks.index(block) for block in blocks}
    for place in range(len(blocks)):
        assert sum(first[block] <= place <= last[block] for block in first) <= window


@settings(max_examples=60)
@given(counts, st.integers(0, 4), st.integers(1, 3), st.data())
def test_the_next_use_is_the_one_that_going_through_the_order_finds(counts, window, world, data):
    rank = data.draw(st.integers(0, world - 1))
    order = make_order(counts, window=window, batch=5, rank=rank, world=world)
    block = data.draw(st.integers(0, len(counts) - 1))
    position = data.draw(st.integers(0, 3 * len(order)))
    end = (position // len(order) + 2) * len(order)
    uses = [p for p in range(position, end) if [b for b, _ in order.items(p, p + 1)] == [block]]
    assert order.next_use(block, position) == (uses[0] if uses else NEVER)


def test_orders_differ_by_epoch_and_seed_and_are_shuffled():
    order = make_order([10] * 20)
    first, second = order.items(0, 200), order.items(200, 400)
    other = make_order([10] * 20, seed=1).items(0, 200)
    assert first != second and first != other and first != sorted(first)
    moves = [abs(one[0] - two[0]) for one, two in pairwise(first)]
    assert 5 < sum(moves) / len(moves) < 8.5  # independent blocks of 20 are 6.65 apart on average


def test_the_order_is_the_same_forever():
    """A resumed run must not depend on any library: SplitMix64 by hand, in whole numbers."""

    def keys(name, count):
        state = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        for number in range(count):
            key = (state + number * 0x9E3779B97F4A7C15) % 2**64
            key = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
            key = (key ^ (key >> 27)) * 0x94D049BB133111EB % 2**64
            yield key ^ (key >> 31)

    key = dict(enumerate(keys("7/2/items", 5)))
    items = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert make_order([3, 2], seed=7).items(10, 15) == [items[number] for number in sorted(key, key=key.__getitem__)]
