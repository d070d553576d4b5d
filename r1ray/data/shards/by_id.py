"""Rows of shards by their ids, for those who draw in an order of their own: what is used most stays near."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from r1ray.config.shards import LoaderConfig
from r1ray.data.encoding import TokenRow
from r1ray.data.shards.block import Block
from r1ray.data.shards.loader import open_store
from r1ray.data.shards.source import ShardSource
from r1ray.errors import DataError


class ShardRows(Mapping[str, TokenRow]):
    """A read-only mapping from row ids to token rows, of which only the hottest blocks are held.

    Opening it reads every block once, for the ids and the lengths.

    Args:
        source: an open folder of shards.
        config: tiers and threads; order and batch are the caller's affair.
        rank: of this process, for the cache folder.

    Raises:
        DataError: an id names two rows.
    """

    def __init__(self, source: ShardSource, config: LoaderConfig, rank: int = 0) -> None:
        self._store = open_store(source, config, rank)
        self._pool = ThreadPoolExecutor(config.threads, thread_name_prefix="shards")
        self._ahead: dict[int, Future[Block]] = {}
        self._before: dict[int, Future[Block]] = {}
        self._places: dict[str, tuple[int, int]] = {}
        self.lengths: dict[str, int] = {}
        """Tokens of each row."""
        for number in range(len(source)):
            block = self._store.get(number)
            for index, (name, length) in enumerate(zip(block.ids, block.lengths, strict=True)):
                if name in self._places:
                    raise DataError(f"Two rows of {source.path} are called {name!r}. Give corpus rows different ids.")
                self._places[name] = number, index
                self.lengths[name] = length

    def __getitem__(self, name: str) -> TokenRow:
        number, index = self._places[name]
        ahead = self._ahead.get(number) or self._before.get(number)
        return (ahead.result() if ahead else self._store.get(number)).row(index).tokens

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def fetch_ahead(self, names: Sequence[str]) -> None:
        """Begin to read the blocks of the next batch in the background; they are held until the batch after it is asked
        for, so that this may be called before a batch is used or while it is."""
        self._before, known = self._ahead, self._before | self._ahead
        self._ahead = {
            number: known.get(number) or self._pool.submit(self._store.get, number)
            for number in dict.fromkeys(self._places[name][0] for name in names)
        }

    def close(self) -> None:
        """Stop reading ahead."""
        self._pool.shutdown(cancel_futures=True)
        self._ahead, self._before = {}, {}
