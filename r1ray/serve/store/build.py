"""From configuration to the store that a replica holds."""

from r1ray.config.serve_parts import StoreConfig
from r1ray.serve.store.base import Store
from r1ray.serve.store.memory import MemoryStore
from r1ray.serve.store.redis import RedisStore
from r1ray.serve.store.resilient import ResilientStore


def make_store(config: StoreConfig, embedded: Store | None = None) -> Store:
    """Redis where a URL says so, else `embedded`: a handle to what an actor holds for all replicas. Neither can fail a
    request: this process's own store stands in. Without either it is this process's own alone.

    Raises:
        ConfigError: the URL needs a package that is not installed.
    """
    shared: Store | None = embedded
    if config.url:
        shared = RedisStore(config.url, prefix=config.prefix, timeout_s=config.timeout_s)
    if shared is None:
        return MemoryStore()
    # A client's own time-out comes first; this one is for what hangs elsewhere.
    return ResilientStore(shared, MemoryStore(), timeout_s=2 * config.timeout_s, cooldown_s=config.cooldown_s)
