"""Whoever is told how a run goes, as the ranks see it."""

from typing import Any, Protocol


class Listener(Protocol):
    """Whoever is told how the run goes."""

    def post(self, kind: str, payload: Any = None) -> None:
        """Take note of an event: `note`, `phase`, `step`, `samples`, `resumed`."""
        ...

    def ask(self, kind: str, payload: Any = None) -> bool:
        """Take note, and say whether the run should stop."""
        ...


class Nobody:
    """`Listener` of the ranks other than 0: what happens is told once."""

    def post(self, kind: str, payload: Any = None) -> None:
        """Nothing."""

    def ask(self, kind: str, payload: Any = None) -> bool:
        """Rank 0 asks."""
        return False
