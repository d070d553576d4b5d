"""Several ingresses decide, count and show as one would."""

import asyncio
from typing import Any

import pytest

from r1ray.config.serve_parts import CanaryConfig, RequestLogConfig
from r1ray.serve.books import Books, Figures
from r1ray.serve.canary.controller import Canary, Outbox
from r1ray.serve.canary.outcomes import Outcome
from r1ray.serve.errors import ApiError
from r1ray.serve.ledger import Heard, Ledger, News
from r1ray.serve.observe.metrics import ServeMetrics
from r1ray.serve.observe.pages import Page
from r1ray.serve.observe.request_log import RequestLog
from r1ray.serve.peers import Together

SHADOW = CanaryConfig(mode="shadow", percent=10)


class Flaky(Ledger):
    """Hears, and loses the receipt; or does not answer at all."""

    loses = silent = False

    async def exchange(self, ingress: str, news: News, page: Page) -> Heard:
        if self.silent:
            raise ConnectionError
        heard = await super().exchange(ingress, news, page)
        if self.loses:
            raise ConnectionError
        return heard

    async def set_ratio(self, percent: float) -> Heard:
        if self.silent:
            raise ConnectionError
        return await super().set_ratio(percent)


class One:
    """An ingress's share in it."""

    def __init__(self, ledger: Ledger, config: CanaryConfig = SHADOW) -> None:
        outbox, self.metrics = Outbox(), ServeMetrics()
        self.canary = Canary(config, "v1", "v2", outbox)
        self.books = Books(self.metrics, self.canary, RequestLog(RequestLogConfig()))
        self.peers = Together(self.metrics, self.canary, self.books, outbox, ledger)

    def pair(self, number: int, ok: bool) -> None:
        """Both halves of a shadowed request."""
        for version, good in (("v1", True), ("v2", ok)):
            paired = {"paired_with": f"r{number}", "seconds": 1.0, "tokens": 10}
            self.canary.record(Outcome(version=version, request_id=f"r{number}", ok=good, logprobs=[-1.0], **paired))  # type: ignore[arg-type]


def ledger(kind: type[Ledger] = Ledger) -> Any:
    return kind(SHADOW, "v1", "v2")


@pytest.mark.parametrize("ok, decision", [(True, "promote"), (False, "roll_back")])
def test_what_all_saw_together_decides_everywhere_as_it_would_in_one(ok: bool, decision: str) -> None:
    async def main() -> None:
        both = ledger()
        ingresses, alone = [One(both) for _ in range(2)], One(ledger())
        alone.canary = Canary(SHADOW, "v1", "v2")
        for number in range(400):
            for ingress in (ingresses[number % 2], alone):
                ingress.pair(number, ok)
        for ingress in (*ingresses, ingresses[0]):
            await ingress.peers.exchange()
        assert alone.canary.decision() == decision
        for ingress in ingresses:
            assert ingress.canary.state() == alone.canary.state()
            assert ingress.canary.choose("mia") == alone.canary.choose("mia")

    asyncio.run(main())


def test_a_new_share_is_everyones_with_their_next_news() -> None:
    async def main() -> None:
        both = ledger()
        asked, other = One(both), One(both)
        await asked.peers.set_ratio(70)
        assert (asked.canary.ratio, other.canary.ratio) == (70, 10)
        await other.peers.exchange()
        assert other.canary.ratio == 70

    asyncio.run(main())


def test_without_the_ledger_the_share_stays_and_the_page_is_the_ingress_own() -> None:
    async def main() -> None:
        both = ledger(Flaky)
        both.silent = True
        one = One(both)
        with pytest.raises(ApiError, match="ledger"):
            await one.peers.set_ratio(70)
        assert one.canary.ratio == 10
        one.metrics.error("engine")
        assert b'errors_total{kind="engine"} 1.0' in await one.peers.page()

    asyncio.run(main())


def test_news_whose_receipt_was_lost_count_once_and_none_is_lost() -> None:
    async def main() -> None:
        both = ledger(Flaky)
        one = One(both)
        one.pair(0, True)
        one.books.figures.add(Figures(3, 1))
        both.loses = True
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await one.peers.exchange()
        one.pair(1, True)
        one.books.figures.add(Figures(2, 0))
        both.loses = False
        await one.peers.exchange()
        await one.peers.exchange()
        assert one.canary.state()["pairs"] == 2
        assert await one.peers.figures() == {"requests": 5, "errors": 1, "p95_ms": None}

    asyncio.run(main())


def test_the_pages_of_all_are_one() -> None:
    async def main() -> None:
        both = ledger()
        ingresses = [One(both) for _ in range(3)]
        for ingress in ingresses:
            ingress.metrics.error("engine")
            await ingress.peers.exchange()
        ingresses[0].metrics.error("engine")
        pages = [await ingress.peers.page() for ingress in ingresses]
        assert all(b'errors_total{kind="engine"} 4.0' in page for page in pages)

    asyncio.run(main())
