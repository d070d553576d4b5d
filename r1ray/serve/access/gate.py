"""How many requests of one key are in flight in this replica."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from r1ray.serve.access.errors import RateLimited


class Gate:
    """Counts; nothing waits in it.

    Args:
        limit: of one key; 0 = none.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.in_flight: Counter[str] = Counter()

    @contextmanager
    def enter(self, key_id: str) -> Iterator[None]:
        """For as long as the request is worked on, its stream included.

        Raises:
            RateLimited: the key has its number of them.
        """
        if self._limit and self.in_flight[key_id] >= self._limit:
            raise RateLimited(1.0, f"Too many requests at once: {self._limit} of a key are worked on at a time.")
        self.in_flight[key_id] += 1
        try:
            yield
        finally:
            self.in_flight[key_id] -= 1
            if not self.in_flight[key_id]:
                del self.in_flight[key_id]
