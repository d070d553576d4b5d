"""A deadline for a stream."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TypeVar

T = TypeVar("T")


async def in_time(pieces: AsyncGenerator[T, None], seconds: float) -> AsyncGenerator[T, None]:
    """The pieces until so many seconds from now; 0 = no limit. Each may be asked for by another task: a deadline around
    the whole iteration would hold for the first alone.

    Raises:
        TimeoutError: the next piece did not come in time.
    """
    deadline = asyncio.get_running_loop().time() + seconds if seconds else None
    async with contextlib.aclosing(pieces):
        while True:
            async with asyncio.timeout_at(deadline):
                try:
                    piece = await anext(pieces)
                except StopAsyncIteration:
                    return
            yield piece
