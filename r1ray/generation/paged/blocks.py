"""Pages of keys and values: who holds which, and which full pages of which prefix can be used again.

A page that is full is known by a hash of all tokens up to its end, so equal prefixes share pages. A page that nobody
holds keeps its contents until it is needed for something else, the longest unused first.
"""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence

PAGE = 32
"""Tokens whose keys and values lie together: what OpenVINO's CPU kernels take."""


def prefix_hashes(token_ids: Sequence[int], size: int, salt: bytes = b"") -> list[bytes]:
    """One hash for each full page: of its tokens and of all before it."""
    hashes, previous = [], salt
    for start in range(0, len(token_ids) - size + 1, size):
        digest = hashlib.blake2b(previous, digest_size=16)
        digest.update(array("q", token_ids[start : start + size]).tobytes())
        previous = digest.digest()
        hashes.append(previous)
    return hashes


class BlockPool:
    """`count` pages of `size` tokens each."""

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size
        self._holders = [0] * count
        self._hash_of: dict[int, bytes] = {}
        self._page_of: dict[bytes, int] = {}
        self._unused: OrderedDict[int, None] = OrderedDict((page, None) for page in range(count))

    @property
    def free(self) -> int:
        """Pages that nobody holds, those with something worth keeping included."""
        return len(self._unused)

    def cached(self, hashes: Sequence[bytes]) -> list[int]:
        """The pages of the longest known prefix; nobody holds them yet on its behalf."""
        pages = []
        for digest in hashes:
            page = self._page_of.get(digest)
            if page is None:
                break
            pages.append(page)
        return pages

    def hold(self, pages: Sequence[int]) -> None:
        """One more holder for pages that exist."""
        for page in pages:
            if self._holders[page] == 0:
                del self._unused[page]
            self._holders[page] += 1

    def take(self, count: int) -> list[int]:
        """`count` pages to write on; what they kept is forgotten. The caller looks at `free` first."""
        pages = []
        for _ in range(count):
            page, _ = self._unused.popitem(last=False)
            if (digest := self._hash_of.pop(page, None)) is not None:
                del self._page_of[digest]
            self._holders[page] = 1
            pages.append(page)
        return pages

    def publish(self, page: int, digest: bytes) -> None:
        """A page is full: whoever has the same prefix may hold it too. The first one with a prefix stays."""
        if digest not in self._page_of and page not in self._hash_of:
            self._page_of[digest], self._hash_of[page] = page, digest

    def release(self, pages: Sequence[int]) -> None:
        """One holder less. The end of a prefix is forgotten before its beginning, which more prompts share."""
        for page in reversed(pages):
            self._holders[page] -= 1
            if self._holders[page] == 0:
                self._unused[page] = None
                if page not in self._hash_of:
                    self._unused.move_to_end(page, last=False)

    def forget(self) -> None:
        """No page is worth keeping any more: the weights have changed."""
        self._hash_of.clear()
        self._page_of.clear()
