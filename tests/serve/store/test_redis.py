"""The store in a real Redis server; needs the program `redis-server` and the package `redis`."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1ray.config.serve_parts import AccessConfig, CacheConfig, StoreConfig
from r1ray.serve.access.access import Access
from r1ray.serve.access.errors import RateLimited
from r1ray.serve.access.limits import Limits
from r1ray.serve.cache.answers import AnswerCache, CachedAnswer
from r1ray.serve.cache.key import Origin
from r1ray.serve.store.base import Bucket
from r1ray.serve.store.build import make_store
from r1ray.serve.store.redis import RedisStore

SERVER = shutil.which("redis-server")
pytestmark = [pytest.mark.services, pytest.mark.skipif(SERVER is None, reason="no redis-server")]


class Server:
    """A Redis of its own on a socket file."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._process = folder, None
        self.url = f"unix://{folder}/redis.sock"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [SERVER, "--port", "0", "--unixsocket", f"{self._folder}/redis.sock", "--save", "", "--dir", self._folder],
            stdout=subprocess.DEVNULL,
        )
        while not (self._folder / "redis.sock").exists():
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            (self._folder / "redis.sock").unlink(missing_ok=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    pytest.importorskip("redis")
    one = Server(tmp_path)
    one.start()
    yield one
    one.stop()


def test_values_counters_and_buckets(server):
    async def scenario() -> None:
        store = RedisStore(server.url, timeout_s=5)
        assert await store.get("a") is None
        await store.put("a", b"\x00\xff", 60)
        assert await store.get("a") == b"\x00\xff"
        await store.put("soon", b"x", 0.05)
        await asyncio.sleep(0.2)
        assert await store.get("soon") is None
        assert [await store.add("n", 2, 60), await store.add("n", -1, 60)] == [2, 1]
        bucket = Bucket(rate=0.001, burst=3)
        assert [await store.take("k", 1, bucket) for _ in range(3)] == [0, 0, 0]
        assert await store.take("k", 1, bucket) == pytest.approx(1000, rel=0.01)
        await store.take("k", -2, bucket)
        assert await store.take("k", 2, bucket) == 0
        assert await store.take("never", 2, Bucket(0, 1)) == 0
        assert await store.take("never", 1, Bucket(0, 1)) == float("inf")
        await store.close()

    asyncio.run(scenario())


def test_two_replicas_share_limits_and_answers(server):
    async def scenario() -> None:
        config = StoreConfig(url=server.url, timeout_s=5)
        stores = make_store(config), make_store(config)
        one, other = (Access(AccessConfig(requests_per_minute=3), store) for store in stores)
        principal = one.authenticate({})
        assert principal.limits == Limits(requests_per_minute=3)
        for access in (one, other, one):
            await access.admit(principal, 10)
        with pytest.raises(RateLimited):
            await other.admit(principal, 10)
        caches = [AnswerCache(CacheConfig(), store) for store in stores]
        key = caches[0].key("/v1/completions", {"temperature": 0}, Origin(model="m"))
        async with caches[0].claim(key) as claim:
            claim.computed = CachedAnswer([{"text": "4"}], {})
        async with caches[1].claim(key) as claim:
            assert (claim.level, claim.found) == ("l3", CachedAnswer([{"text": "4"}], {}))

    asyncio.run(scenario())


def test_a_server_that_dies_breaks_no_request_and_is_used_again_when_it_is_back(server):
    async def scenario() -> None:
        store = make_store(StoreConfig(url=server.url, timeout_s=5, cooldown_s=0))
        await store.put("a", b"shared", 60)
        server.stop()
        assert await store.get("a") is None
        await store.put("a", b"local", 60)
        assert await store.get("a") == b"local"
        assert await store.take("k", 1, Bucket(1, 1)) == 0
        server.start()
        assert await store.get("a") is None, "a new server knows nothing"
        await store.put("a", b"again", 60)
        assert await RedisStore(server.url, timeout_s=5).get("a") == b"again"

    asyncio.run(scenario())
