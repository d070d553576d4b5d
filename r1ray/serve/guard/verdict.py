"""What guardrails answer, and what a rule on a growing text can do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Verdict:
    """On a whole text."""

    allowed: bool
    rule: str = ""
    """Which rule it broke: `words`, `patterns`, `pii`, `classifier`, `judge`."""
    message: str = ""
    """For the client; does not repeat what was found."""


@dataclass(frozen=True, slots=True)
class Checked:
    """On the next piece of an answer."""

    text: str
    """What may be sent now: text that was held back before may come, and the end of the piece may be held back."""
    blocked: bool = False
    """The answer ends here; what was held back is never sent."""
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """What a rule sees in a text of which more may come."""

    hit: int | None
    """Where the first forbidden passage begins."""
    hold: int
    """From here on the text may still become forbidden; its length where nothing can."""


class Rule(Protocol):
    """Something that must not be said, and that begins and ends somewhere in the text."""

    @property
    def name(self) -> str:
        """As the verdict names it."""
        ...

    def scan(self, text: str, start: int, final: bool) -> Scan:
        """Look at what begins at `start` or later. `final`: nothing more comes, so nothing needs to be held."""
        ...


Forbids = Callable[[str], Awaitable[bool]]
"""Whether a passage must not be said, as far as a classifier can tell."""

PASSED = Verdict(True)
