import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from r1ray.data.shards.loader import ShardLoader
from r1ray.data.shards.source import ShardSource
from r1ray.data.shards.tiers import DAMAGED, DISK, MEMORY, SOURCE, TieredStore
from r1ray.errors import DataError
from tests.data.shards.helpers import loader_config, make_shards


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> ShardSource:
    return ShardSource(str(make_shards(tmp_path_factory.mktemp("shards"), 300)))


def make_store(source, cache=None, memory=0, disk=0, next_use=None) -> TieredStore:
    return TieredStore(source, memory_bytes=memory, disk_bytes=disk, cache=cache, next_use=next_use)


def total(source) -> int:
    return sum(entry.nbytes for entry in source.entries)


def test_each_tier_serves_what_it_holds(source, tmp_path):
    store = make_store(source, tmp_path, memory=total(source), disk=total(source))
    assert store.get(0).ids == store.get(0).ids == source.read(0).ids
    assert store.hits == {SOURCE: 1, MEMORY: 1}
    store = make_store(source, tmp_path, disk=10 * total(source))
    store.get(1), store.get(1)
    assert store.hits == {SOURCE: 1, DISK: 1}


def test_bytes_stay_within_the_bounds(source, tmp_path):
    memory, disk = total(source) // 10, 3 * total(source)
    store = make_store(source, tmp_path, memory=memory, disk=disk)
    for number in [*range(len(source)), *range(len(source))]:
        store.get(number)
        assert store.sizes[MEMORY] <= memory
        assert store.sizes[DISK] <= disk
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= store.sizes[DISK]
    assert store.sizes[MEMORY] > memory / 2
    assert store.hits[DISK] > 0


def test_the_block_whose_next_use_is_furthest_goes(source):
    size = max(entry.nbytes for entry in source.entries)
    uses = {0: 10, 1: 99, 2: 11, 3: 100}
    store = make_store(source, memory=int(2.5 * size), next_use=lambda block, position: uses[block])
    for number in (0, 1, 2, 3):
        store.get(number)
    store.hits.clear()
    store.get(0), store.get(2)
    assert store.hits == {MEMORY: 2}
    store.get(3)
    assert store.hits == {MEMORY: 2, SOURCE: 1}


def test_without_a_schedule_what_is_used_most_stays(source):
    size = max(entry.nbytes for entry in source.entries)
    store = make_store(source, memory=int(1.5 * size))
    for number in (0, 0, 0, 1, 2, 0):
        store.get(number)
    assert store.hits == {SOURCE: 3, MEMORY: 3}


def test_a_damaged_cache_file_is_read_anew_from_the_source(source, tmp_path):
    store = make_store(source, tmp_path, disk=10 * total(source))
    expected = store.get(0).ids
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for broken in (whole[:-1], whole[:20], b"", bytes([*whole[:-1], whole[-1] ^ 1])):
        path.write_bytes(broken)
        store.hits.clear()
        assert store.get(0).ids == expected
        assert store.hits == {DAMAGED: 1, SOURCE: 1}
        assert path.read_bytes() == whole
    path.unlink()
    assert store.get(0).ids == expected


def test_the_cache_of_a_former_process_is_taken_over_and_the_rest_cleared(source, tmp_path):
    first = make_store(source, tmp_path, disk=10 * total(source))
    first.get(0), first.get(1)
    (tmp_path / "left.tmp").write_bytes(b"half")
    second = make_store(source, tmp_path, disk=10 * total(source))
    second.get(0), second.get(1)
    assert second.hits == {DISK: 2}
    assert len(list(tmp_path.iterdir())) == 2
    make_store(source, tmp_path, disk=1)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_costs_nothing_but_speed(source, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    store = make_store(source, tmp_path, disk=10 * total(source))
    assert store.get(0).ids == store.get(0).ids
    assert store.hits == {SOURCE: 2}
    assert store.sizes[DISK] == 0


def test_many_threads_read_a_block_once(source):
    started = threading.Barrier(4)
    reads = []

    class Slow:
        entries = source.entries

        def read(self, number):
            reads.append(number)
            return source.read(number)

    store = make_store(Slow(), memory=total(source))

    def ask(_):
        started.wait()
        return store.get(5).ids

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))
    assert found == [source.read(5).ids] * 4
    assert reads == [5]


def test_an_error_reaches_everyone_and_is_not_remembered(source):
    class Broken:
        entries = source.entries
        broken = True

        def read(self, number):
            if self.broken:
                raise DataError("gone")
            return source.read(number)

    broken = Broken()
    store = make_store(broken, memory=total(source))
    with pytest.raises(DataError, match="gone"):
        store.get(0)
    broken.broken = False
    assert store.get(0).ids == source.read(0).ids


def test_known_uses_beat_plain_recency(source, tmp_path):
    """The same order twice: four tenths of the blocks are kept, so about as many requests are served from near."""
    config = loader_config(tmp_path, memory_share=0.4, disk_share=0.0, prefetch=0, window_blocks=1, batch=1)
    loader = ShardLoader(source, config, epochs=4)
    for _ in loader:
        pass
    figures = loader.figures()
    # A block is read once an epoch: at least 4 x 60 % of them must come from the source, the first epoch all.
    reads = figures["data/source_hits"] / len(source)
    assert 1 + 3 * 0.6 - 0.05 < reads < 1 + 3 * 0.75
