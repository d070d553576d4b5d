"""What an ingress shares with others like it: metrics, the canary's share and books, figures."""

import asyncio
import contextlib
import secrets
from typing import Any

from r1ray.serve.books import Books
from r1ray.serve.canary.controller import Canary, Outbox
from r1ray.serve.errors import unavailable
from r1ray.serve.ledger import LedgerLike, News
from r1ray.serve.observe.metrics import ServeMetrics

EVERY_S = 1.0
"""Seconds between two exchanges: how late an ingress hears of a new share."""
PATIENCE_S = 2.0


class Alone:
    """The only ingress."""

    def __init__(self, metrics: ServeMetrics, canary: Canary, books: Books) -> None:
        self._metrics, self._canary, self._books = metrics, canary, books

    async def page(self) -> bytes:
        """For `/metrics`."""
        return self._metrics.render()

    async def set_ratio(self, percent: float) -> None:
        """Change the canary's share, in percent."""
        self._canary.set_ratio(percent)

    async def figures(self) -> dict[str, Any]:
        """For the job's last line."""
        return self._books.figures.summary()

    async def run(self) -> None:
        """For as long as the ingress lives."""

    async def leave(self) -> None:
        """After its last request."""


class Together(Alone):
    """One of several, which tell a ledger what happens and hear from it what all have come to.

    Args:
        metrics, canary, books: the ingress's; the canary's outcomes go to the outbox.
        outbox: of the canary.
        ledger: of all.
    """

    def __init__(self, metrics: ServeMetrics, canary: Canary, books: Books, outbox: Outbox, ledger: LedgerLike) -> None:
        super().__init__(metrics, canary, books)
        self._outbox, self._ledger, self._name = outbox, ledger, secrets.token_hex(8)
        self._number = 0
        self._unheard: News | None = None
        self._lock = asyncio.Lock()

    async def page(self) -> bytes:
        """For `/metrics`: of all ingresses; of this one where the ledger does not answer."""
        with contextlib.suppress(Exception):
            await self.exchange()
            return await asyncio.wait_for(self._ledger.page(), PATIENCE_S)
        return await super().page()

    async def set_ratio(self, percent: float) -> None:
        """Change it for all, from the next request on here, within a second elsewhere.

        Raises:
            ApiError: 503, the ledger does not answer; nothing has changed.
        """
        async with self._lock:  # what an exchange under way would bring is older
            try:
                heard = await asyncio.wait_for(self._ledger.set_ratio(percent), PATIENCE_S)
            except Exception as error:
                raise unavailable("The share cannot be changed now: the ledger does not answer.") from error
            self._canary.set_ratio(heard.ratio)

    async def figures(self) -> dict[str, Any]:
        """Of all ingresses."""
        with contextlib.suppress(Exception):
            await self.exchange()
            return await asyncio.wait_for(self._ledger.figures(), PATIENCE_S)
        return await super().figures()

    async def exchange(self) -> None:
        """Tell what is new, and hear. What is not received is told again. Raises whatever kept it from that."""
        async with self._lock:
            if self._unheard is None:
                self._number += 1
                self._unheard = News(self._number, self._outbox.take(), self._books.take())
            heard = await asyncio.wait_for(
                self._ledger.exchange(self._name, self._unheard, self._metrics.page()), PATIENCE_S
            )
            self._unheard = None
            self._canary.set_ratio(heard.ratio)
            self._outbox.finding = heard.finding

    async def run(self) -> None:
        """Exchange every second."""
        while True:
            with contextlib.suppress(Exception):
                await self.exchange()
            await asyncio.sleep(EVERY_S)

    async def leave(self) -> None:
        """Tell what is not told yet."""
        with contextlib.suppress(Exception):
            await self.exchange()
