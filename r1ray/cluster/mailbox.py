"""Word from the workers to the driver, and one word back: stop."""

from typing import Any, NamedTuple

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


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
    """A small actor beside the driver that outlives restarts of the workers. Picklable."""

    def __init__(self) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._box: Any = (
            ray.remote(_Box)
            .options(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)
            .remote()
        )
        self._asked: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_box": self._box, "_asked": None}

    def post(self, kind: str, payload: Any = None) -> None:
        """Leave an event, without waiting."""
        self._box.post.remote(kind, payload)

    def ask(self, kind: str, payload: Any = None) -> bool:
        """Leave an event, and learn whether the driver wants the work to stop."""
        return bool(ray.get(self._box.post.remote(kind, payload)))

    def take(self, timeout: float = 10.0) -> list[Event]:
        """Every event since the last call, in order; none if the box does not answer in time. Nothing gets lost: what
        it answers later comes with a later call."""
        if self._asked is None:
            self._asked = self._box.take.remote()
        answered, _ = ray.wait([self._asked], timeout=timeout)
        if not answered:
            return []
        events: list[Event] = ray.get(self._asked)
        self._asked = None
        return events

    def stop(self) -> None:
        """Ask whoever asks to stop."""
        ray.get(self._box.stop.remote())
