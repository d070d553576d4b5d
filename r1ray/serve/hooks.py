"""What the service asks of the parts around the engine; each may be left out."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from r1ray.generation.iteration import EngineEvent, EngineLoad, EngineRequest


class EngineClient(Protocol):
    """Where tokens come from: an engine in this process, or replicas behind Ray Serve."""

    @property
    def context_length(self) -> int:
        """Most tokens of a prompt and its answer."""
        ...

    def generate(self, request: EngineRequest) -> AsyncGenerator[list[EngineEvent], None]:
        """Events as they come; leaving the iteration cancels the request."""
        ...

    async def load(self) -> EngineLoad | None:
        """How busy it is; None where nobody knows."""
        ...

    async def check(self) -> None:
        """Raises `ApiError` where it cannot answer."""
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
