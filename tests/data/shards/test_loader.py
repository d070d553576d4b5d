import json
from collections import Counter
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r1ray.config.shards import LoaderConfig
from r1ray.data.shards.block import Block
from r1ray.data.shards.loader import ShardLoader
from r1ray.data.shards.source import ShardSource
from r1ray.data.shards.streaming import stream_batches
from r1ray.errors import CheckpointError, ConfigError
from r1ray.train.shard_examples import examples
from tests.data.shards.helpers import TINY, loader_config, make_shards

ROWS = 60


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> ShardSource:
    return ShardSource(str(make_shards(tmp_path_factory.mktemp("shards"), ROWS)))


def plain(source: ShardSource, config: LoaderConfig, epochs: int, **rank) -> list:
    """The batches with nothing kept and nothing fetched ahead."""
    bare = LoaderConfig(
        batch=config.batch, unit=config.unit, seed=config.seed, window_blocks=config.window_blocks,
        prefetch=0, threads=1, memory_share=0, disk_share=0, small_bytes=0,
    )  # fmt: skip
    return list(ShardLoader(source, bare, epochs=epochs, **rank))


shares = st.sampled_from([0.0, 0.1, 0.3, 1.0])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_tiers_prefetch_and_threads_never_change_a_batch(source, tmp_path_factory, data):
    config = loader_config(
        tmp_path_factory.mktemp("cache"),
        batch=data.draw(st.integers(1, 20)),
        unit=data.draw(st.sampled_from(["row", "pack"])),
        window_blocks=data.draw(st.integers(0, 3)),
        seed=data.draw(st.integers(0, 2)),
        prefetch=data.draw(st.integers(0, 5)),
        threads=data.draw(st.integers(1, 4)),
        memory_share=data.draw(shares),
        disk_share=data.draw(shares),
        small_bytes=data.draw(st.sampled_from([0, 2**20])),
    )
    assert list(ShardLoader(source, config, epochs=3)) == plain(source, config, 3)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 12), st.integers(0, 4), st.integers(0, 2), st.sampled_from(["row", "pack"]))
def test_resuming_after_any_batch_gives_the_batches_that_were_left(
    source, tmp_path_factory, stop, prefetch, window, unit
):
    config = loader_config(tmp_path_factory.mktemp("cache"), prefetch=prefetch, window_blocks=window, unit=unit)
    loader = ShardLoader(source, config, epochs=2)
    batches = iter(loader)
    done = list(islice(batches, stop))
    state = json.loads(json.dumps(loader.state()))
    batches.close()
    resumed = ShardLoader(source, config, epochs=2)
    resumed.restore(state)
    assert done + list(resumed) == plain(source, config, 2)


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_part_the_rows_of_each_step(source, tmp_path, world):
    config = loader_config(tmp_path)
    ranks = [list(ShardLoader(source, config, rank=rank, world=world, epochs=2)) for rank in range(world)]
    for step, whole in enumerate(plain(source, config, 2)):
        parts = [rank[step] for rank in ranks]
        assert sorted(row.id for part in parts for row in part) == sorted(row.id for row in whole)


def test_a_run_goes_on_with_another_number_of_ranks(source, tmp_path):
    config = loader_config(tmp_path)
    loader = ShardLoader(source, config, rank=1, world=2, epochs=1)
    batches = iter(loader)
    next(batches), next(batches)
    alone = ShardLoader(source, config, epochs=1)
    alone.restore(loader.state())
    assert list(alone) == plain(source, config, 1)[2:]


def test_an_epoch_shows_every_row_once(source, tmp_path):
    rows = [row.id for batch in ShardLoader(source, loader_config(tmp_path), epochs=1) for row in batch]
    assert len(rows) == len(set(rows)) == source.manifest.counts["rows"]


def test_packs_come_whole_and_fill_micro_batches(source, tmp_path):
    loader = ShardLoader(source, loader_config(tmp_path, unit="pack", batch=1), epochs=1)
    assert loader.items_per_epoch == source.manifest.counts["packs"]
    batches = list(loader)
    assert all(sum(len(row.token_ids) for row in batch) <= TINY.pack_tokens for batch in batches)
    assert sum(map(len, batches)) == source.manifest.counts["rows"]


def test_without_an_end_it_goes_on_into_further_epochs(source, tmp_path):
    batches = iter(ShardLoader(source, loader_config(tmp_path, batch=source.manifest.counts["rows"])))
    first, second = next(batches), next(batches)
    assert first != second
    assert Counter(row.id for row in first) == Counter(row.id for row in second)
    batches.close()


def test_training_reads_prompts_and_responses(source, tmp_path):
    loader = ShardLoader(source, loader_config(tmp_path), epochs=1)
    rows = [row for batch in plain(source, loader_config(tmp_path), 1) for row in batch]
    found = [example for batch in examples(loader) for example in batch]
    assert [example.prompt_ids + example.response_ids for example in found] == [row.token_ids for row in rows]
    assert all(example.prompt_ids and example.response_ids for example in found)


def test_other_settings_are_refused_on_restore(source, tmp_path):
    state = ShardLoader(source, loader_config(tmp_path)).state()
    with pytest.raises(CheckpointError, match="seed = 0, this run has 1"):
        ShardLoader(source, loader_config(tmp_path, seed=1)).restore(state)
    with pytest.raises(CheckpointError, match="content_hash"):
        ShardLoader(source, loader_config(tmp_path)).restore({**state, "content_hash": "other"})


@pytest.mark.parametrize(("rank", "world"), [(2, 2), (-1, 2), (0, 9)])
def test_a_rank_that_cannot_take_part_is_refused(source, tmp_path, rank, world):
    with pytest.raises(ConfigError, match="takes part"):
        ShardLoader(source, loader_config(tmp_path), rank=rank, world=world)


def test_an_iterator_of_ray_data_gives_the_same_rows(source):
    class Iterator:
        def iter_batches(self, batch_size, batch_format, prefetch_batches):
            import pyarrow as pa

            assert batch_format == "pyarrow"
            table = pa.Table.from_batches([source.read(number).batch for number in range(len(source))])
            for start in range(0, table.num_rows, batch_size):
                yield table.slice(start, batch_size)

    found = list(stream_batches(Iterator(), batch=8))
    blocks: list[Block] = [source.read(number) for number in range(len(source))]
    assert [row for batch in found for row in batch] == [block.row(n) for block in blocks for n in range(len(block))]
    assert [len(batch) for batch in found[:-1]] == [8] * (len(found) - 1)
