"""Word from the workers to the driver, and one word back: stop."""

from typing import Any, NamedTuple

import ray


class Event(NamedTuple):
    """Something a worker wants the driver to know."""

    kind: str
    payload: Any


class _Box:
    """The actor's side."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._stopping = False

    def post(self, kind: str, payload: Any) -> bool:
        self._events.append(Event(kind, payload))
        return self._stopping

    def take(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def stop(self) -> None:
        self._stopping = True


class Mailbox:
    """A small actor that outlives restarts of the workers. Picklable."""

    def __init__(self) -> None:
        self._box: Any = ray.remote(_Box).options(num_cpus=0, max_restarts=-1).remote()

    def post(self, kind: str, payload: Any = None) -> None:
        """Leave an event, without waiting."""
        self._box.post.remote(kind, payload)

    def ask(self, kind: str, payload: Any = None) -> bool:
        """Leave an event, and learn whether the driver wants the work to stop."""
        return bool(ray.get(self._box.post.remote(kind, payload)))

    def take(self, timeout: float = 10.0) -> list[Event]:
        """Every event since the last call, in order."""
        events: list[Event] = ray.get(self._box.take.remote(), timeout=timeout)
        return events

    def stop(self) -> None:
        """Ask whoever asks to stop."""
        ray.get(self._box.stop.remote())
