"""Regular expressions that must not match. The package `regex` tells which ends of a text may become a match."""

from collections.abc import Iterable

import regex

from r1ray.errors import ConfigError
from r1ray.serve.guard.verdict import Scan

_AHEAD = 32
"""Characters after a match that an expression with a look-ahead waits for; farther it does not look in an answer that
is still being written."""


class Patterns:
    """Expressions in the syntax of `regex` (that of `re`, and more).

    Raises:
        ConfigError: one cannot be compiled, or matches nothing at all (the empty text).
    """

    name = "patterns"

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [
            (_compiled(pattern), _AHEAD if "(?=" in pattern or "(?!" in pattern else 1) for pattern in patterns
        ]

    def scan(self, text: str, start: int, final: bool) -> Scan:
        """A match that reaches the end may still grow, or become none by what follows it."""
        hits, hold = [], len(text)
        for pattern, ahead in self._patterns:
            for found in pattern.finditer(text, start, partial=not final):
                if not final and (found.partial or found.end() + ahead > len(text)):
                    hold = min(hold, found.start())
                    break
                if not found.partial and found.end() > found.start():
                    hits.append(found.start())
                    break
        return Scan(min(hits, default=None), hold)


def _compiled(pattern: str) -> regex.Pattern[str]:
    try:
        compiled = regex.compile(pattern)
    except regex.error as error:
        raise ConfigError(f"guard.patterns: {pattern!r} is no regular expression: {error}.") from error
    if compiled.fullmatch(""):
        raise ConfigError(f"guard.patterns: {pattern!r} matches the empty text, so it would block everything.")
    return compiled
