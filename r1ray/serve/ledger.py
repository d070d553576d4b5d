"""What several ingresses know together: the canary's books, their metrics and figures, and a store for their limits
and answers where there is no Redis. Plain code; `app.py` gives it a process of its own."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from r1ray.config.serve_parts import CanaryConfig
from r1ray.serve.books import Figures
from r1ray.serve.canary.controller import Canary, Finding
from r1ray.serve.canary.outcomes import Outcome
from r1ray.serve.observe.pages import Page, as_one
from r1ray.serve.store.memory import MemoryStore


@dataclass(frozen=True, slots=True)
class News:
    """What has happened in an ingress since the news before."""

    number: int
    """News that come twice, as their receipt was lost, count once."""
    outcomes: tuple[Outcome, ...] = ()
    figures: Figures = field(default_factory=Figures)


@dataclass(frozen=True, slots=True)
class Heard:
    """What an ingress is told."""

    ratio: float
    """The canary's, in percent."""
    finding: Finding


class LedgerLike(Protocol):
    """The ledger, or a handle to it."""

    async def exchange(self, ingress: str, news: News, page: Page) -> Heard:
        """Take an ingress's news, and say what all have come to."""
        ...

    async def set_ratio(self, percent: float) -> Heard:
        """Change the canary's share."""
        ...

    async def page(self) -> bytes:
        """The metrics of all ingresses."""
        ...

    async def figures(self) -> dict[str, Any]:
        """For the job's last line."""
        ...


class Ledger(MemoryStore):
    """Of one service; the store as well that its ingresses share.

    Args:
        config: the canary's.
        stable: version that answers by default.
        canary: version on trial; empty = none.
    """

    def __init__(self, config: CanaryConfig, stable: str, canary: str) -> None:
        super().__init__()
        self._canary = Canary(config, stable, canary)
        self._numbers: dict[str, int] = {}
        self._pages: dict[str, Page] = {}
        self._figures = Figures()

    async def exchange(self, ingress: str, news: News, page: Page) -> Heard:
        """Take an ingress's news, and say what all have come to."""
        self._pages.pop(ingress, None)
        self._pages[ingress] = page  # at the end: it is the latest
        if news.number > self._numbers.get(ingress, 0):
            self._numbers[ingress] = news.number
            self._figures.add(news.figures)
            for outcome in news.outcomes:
                self._canary.record(outcome)
        return self._heard()

    async def set_ratio(self, percent: float) -> Heard:
        """Change the canary's share; the other ingresses hear of it with their next news."""
        self._canary.set_ratio(percent)
        return self._heard()

    async def page(self) -> bytes:
        """The metrics of all ingresses."""
        return as_one(self._pages.values())

    async def figures(self) -> dict[str, Any]:
        """For the job's last line."""
        return self._figures.summary()

    def _heard(self) -> Heard:
        return Heard(self._canary.ratio, self._canary.finding)
