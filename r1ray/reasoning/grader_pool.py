"""The pool of grader processes: items out, replies in, and whoever is late is killed."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import NamedTuple

from r1ray.errors import ConfigError, WorkerError
from r1ray.reasoning.grader_process import GraderProcess
from r1ray.reasoning.verifiers import MATH

_START_SECONDS = 120.0
_NEVER = float("inf")


class GradeItem(NamedTuple):
    """One answer to be graded."""

    reference: str
    """The right answer; for `reasoning-gym/<task>` its whole entry as JSON."""
    answer: str | None
    """The given answer; `None` where there is none, which scores 0."""
    verifier: str = MATH
    """`math`, `reasoning-gym/<task>`, or a user's `module.py:function`, which takes reference and answer."""


@dataclass(slots=True)
class Tally:
    """What became of a batch's items: each is in exactly one of the three."""

    scores: dict[GradeItem, float] = field(default_factory=dict)
    timeouts: list[GradeItem] = field(default_factory=list)
    crashes: list[GradeItem] = field(default_factory=list)
    last_error: str = ""


@dataclass(slots=True)
class _Slot:
    process: GraderProcess
    deadline: float
    """Monotonic time by which it must have reached its next state."""
    state: str = "starting"
    """`starting`, `idle`, `loading` (a verifier, with an item in hand) or `running`."""
    item: GradeItem | None = None


class GraderPool:
    """Processes that live on from batch to batch. Not thread-safe: one batch at a time."""

    def __init__(self, *, seconds: float, batch_seconds: float, processes: int) -> None:
        self._seconds = seconds
        self._batch_seconds = batch_seconds
        self._processes = processes
        self._slots: list[_Slot] = []

    def run(self, items: Iterable[GradeItem]) -> Tally:
        """Grade different items. The batch's clock starts when its first item runs, so that imports do not count.

        Raises:
            ConfigError: a verifier does not exist or its library is missing.
            WorkerError: a grader process cannot start.
        """
        try:
            return self._run(deque(items))
        except BaseException:
            self.kill_all()  # whatever they are at belongs to a batch that nobody waits for any more
            raise

    def kill_all(self) -> None:
        """End every process; the next `run` starts new ones."""
        for slot in list(self._slots):
            self._drop(slot)

    def _run(self, queue: deque[GradeItem]) -> Tally:
        tally = Tally()
        batch_end = _NEVER
        while queue or any(slot.item for slot in self._slots):
            self._hand_out(queue)
            patience = min(batch_end, *(slot.deadline for slot in self._slots)) - time.monotonic()
            arrived = wait([slot.process.fileno() for slot in self._slots], timeout=max(0.0, patience))
            for slot in [slot for slot in self._slots if slot.process.fileno() in arrived]:
                self._hear(slot, tally)
            if batch_end == _NEVER and any(slot.state == "running" for slot in self._slots):
                batch_end = time.monotonic() + self._batch_seconds
            now = time.monotonic()
            batch_over = batch_end <= now
            for slot in [slot for slot in self._slots if slot.deadline <= now or (slot.item and batch_over)]:
                self._give_up(slot, tally, batch_over=batch_over)
            if batch_over:
                tally.timeouts.extend(queue)
                queue.clear()
        return tally

    def _hand_out(self, queue: deque[GradeItem]) -> None:
        """Give an item to every idle process, and start processes for items that have none."""
        for slot in [slot for slot in self._slots if slot.state == "idle" and not slot.process.alive]:
            self._drop(slot)
        for slot in self._slots:
            if queue and slot.state == "idle":
                slot.item = queue.popleft()
                slot.state, slot.deadline = "loading", time.monotonic() + _START_SECONDS
                slot.process.send({**slot.item._asdict(), "seconds": self._seconds})
        starting = sum(slot.state == "starting" for slot in self._slots)
        for _ in range(min(len(queue) - starting, self._processes - len(self._slots))):
            self._slots.append(_Slot(GraderProcess(), time.monotonic() + _START_SECONDS))

    def _hear(self, slot: _Slot, tally: Tally) -> None:
        """Take in what a process says, or that it has ended."""
        messages = slot.process.receive()
        if messages is None:
            state, item, ending = slot.state, slot.item, self._drop(slot)
            if state == "starting":
                raise WorkerError(
                    f"A grader process ended with {ending} before it was ready; its own words are on stderr above."
                )
            if item:
                tally.crashes.append(item)
                tally.last_error = f"the grader process ended with {ending}"
            return
        for message in messages:
            match message["state"]:
                case "ready":
                    slot.state, slot.deadline = "idle", _NEVER
                case "started":
                    slot.state, slot.deadline = "running", time.monotonic() + self._seconds
                case "unusable":
                    raise ConfigError(message["reason"])
                case _:
                    self._finish(slot, message.get("score"), message.get("reason", ""), tally)

    def _finish(self, slot: _Slot, score: float | None, reason: str, tally: Tally) -> None:
        assert slot.item is not None
        if score is None:
            tally.crashes.append(slot.item)
            tally.last_error = reason
        else:
            tally.scores[slot.item] = score
        slot.item, slot.state, slot.deadline = None, "idle", _NEVER

    def _give_up(self, slot: _Slot, tally: Tally, *, batch_over: bool) -> None:
        """Kill a process whose time is up."""
        state, item = slot.state, slot.item
        self._drop(slot)
        if item is None or (state == "loading" and not batch_over):
            what = f"verifier {item.verifier!r}" if item else "grader process"
            raise WorkerError(
                f"A {what} was not ready after {_START_SECONDS:g} s; it was killed. Is the machine overloaded?"
            )
        tally.timeouts.append(item)

    def _drop(self, slot: _Slot) -> str:
        self._slots.remove(slot)
        return slot.process.kill()
