"""Which engine has most of a prompt in its cache already: prefixes by engine, bounded, and never at any price.

The tree is flat: a prompt's pages have hashes that stand for everything before them (`blocks.prefix_hashes`), so the
longest known prefix ends with the last page whose hash an engine was sent before.
"""

from collections import OrderedDict
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

E = TypeVar("E", bound=Hashable)


class PrefixMap(Generic[E]):
    """Remembers where prompts went.

    Args:
        capacity: pages remembered for one engine; the longest unused are forgotten.
        imbalance: requests that the engine with the prefix may have more than the idlest; beyond, the idlest gets the
            request, and with it the prefix.
    """

    def __init__(self, capacity: int = 4096, imbalance: int = 8) -> None:
        self._capacity, self._imbalance = capacity, imbalance
        self._pages: dict[E, OrderedDict[bytes, None]] = {}

    def keep(self, engines: Collection[E]) -> None:
        """Only these still exist."""
        for gone in self._pages.keys() - set(engines):
            del self._pages[gone]

    def rank(self, hashes: Sequence[bytes], loads: Mapping[E, int]) -> list[E]:
        """The engines, best first: the longest prefix where that one has not too much to do, then the idle ones."""
        idlest = min(loads.values(), default=0)

        def cost(engine: E) -> tuple[int, int]:
            known = self._known(engine, hashes) if loads[engine] - idlest <= self._imbalance else 0
            return -known, loads[engine]

        return sorted(loads, key=cost)

    def sent(self, hashes: Sequence[bytes], engine: E) -> None:
        """A prompt went there."""
        pages = self._pages.setdefault(engine, OrderedDict())
        for digest in hashes:
            pages[digest] = None
            pages.move_to_end(digest)
        while len(pages) > self._capacity:
            pages.popitem(last=False)

    def _known(self, engine: E, hashes: Sequence[bytes]) -> int:
        pages: Mapping[bytes, None] = self._pages.get(engine, {})
        return next((count for count in range(len(hashes), 0, -1) if hashes[count - 1] in pages), 0)
