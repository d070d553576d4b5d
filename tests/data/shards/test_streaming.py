from concurrent.futures import ThreadPoolExecutor

import pytest

from r1ray.data.shards.source import ShardSource
from r1ray.data.shards.streaming import stream_batches
from tests.data.shards.helpers import make_shards


@pytest.mark.ray
def test_ranks_of_a_streaming_split_part_the_rows(ray_session, tmp_path):
    import ray.data

    source = ShardSource(str(make_shards(tmp_path)))
    files = [str(tmp_path / file.name) for file in source.manifest.files]
    iterators = ray.data.read_parquet(files).streaming_split(2)
    with ThreadPoolExecutor(2) as pool:  # they wait for each other
        shares = list(pool.map(lambda iterator: list(stream_batches(iterator, batch=8)), iterators))
    found = [row for share in shares for batch in share for row in batch]
    blocks = [source.read(number) for number in range(len(source))]
    expected = [block.row(index) for block in blocks for index in range(len(block))]
    assert sorted(found, key=lambda row: row.id) == sorted(expected, key=lambda row: row.id)
