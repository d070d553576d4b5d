"""What the service asks of the parts around the engine; each may be left out."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from r1ray.generation.iteration import EngineEvent, EngineRequest


class EngineClient(Protocol):
    """Where tokens come from: an engine in this process, or replicas behind Ray Serve."""

    @property
    def context_length(self) -> int:
        """Most tokens of a prompt and its answer."""
        ...

    def generate(self, request: EngineRequest) -> AsyncIterator[list[EngineEvent]]:
        """Events as they come; leaving the iteration cancels the request."""
        ...


class StepScorer(Protocol):
    """Scores the steps of an answer with a process reward model."""

    async def score(self, prompt_ids: Sequence[int], token_ids: Sequence[int]) -> list[dict[str, Any]]:
        """`text` and `score` of each step."""
        ...


class OutputGuard(Protocol):
    """One answer under guard while it is written."""

    async def feed(self, text: str) -> Any:
        """A `Checked`: `text` that may be sent now, `blocked`, `rule`."""
        ...

    async def finish(self) -> Any:
        """The rest."""
        ...


class GuardHook(Protocol):
    """See `serve/guard`."""

    version: str

    async def check_input(self, text: str) -> Any:
        """A `Verdict`: `allowed`, `rule`, `message`."""
        ...

    def output_stream(self) -> OutputGuard:
        """For one answer."""
        ...


class CacheHook(Protocol):
    """See `serve/cache`."""

    def key(self, endpoint: str, fields: Any, origin: Any) -> str | None:
        """None = neither looked up nor kept."""
        ...

    def claim(self, key: str | None) -> AbstractAsyncContextManager[Any]:
        """An answer, or the right to compute it."""
        ...
