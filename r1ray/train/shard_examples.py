"""Shards as the examples that supervised training takes."""

from collections.abc import Iterable, Iterator, Sequence

from r1ray.data.shards.rows import ShardRow
from r1ray.train.supervised import Example


def examples(batches: Iterable[Sequence[ShardRow]]) -> Iterator[list[Example]]:
    """Each batch of rows as examples: `train_supervised(engine, examples(ShardLoader(…)), …)`.

    Raises:
        DataError: several turns of a row are learned; shards.turns `last` writes rows of one prompt and one response.
    """
    for batch in batches:
        pairs = (row.tokens.split() for row in batch)
        yield [Example(prompt_ids=prompt, response_ids=response) for prompt, response in pairs]
