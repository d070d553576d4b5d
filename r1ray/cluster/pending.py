"""One map over a pool, under way: who runs what, what was lost and issued again, and the results in order."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import (
    RayTaskError,
)

from r1ray.cluster.failures import LOST, failure, join, last_words
from r1ray.errors import R1RayError, StaleWeights, WorkerError

if TYPE_CHECKING:
    from r1ray.cluster.pool import ActorPool, Member

Prepare = Callable[["Member"], object]

RESTART_SECONDS = 600.0
"""How long a map waits for a lost worker when no other is left."""


@dataclass(kw_only=True, slots=True)
class _Call:
    index: int
    member: "Member"
    started: float
    overdue: bool = False


class PendingMap:
    """A map that goes on in the background until `result` is asked for, or for as long as it takes."""

    def __init__(
        self,
        pool: "ActorPool",
        method: str,
        items: Sequence[Any],
        shared: tuple[Any, ...],
        *,
        prepare: Prepare | None,
        deadline: float | None,
        retries: int,
    ) -> None:
        self.reissued = 0
        """Calls issued again so far because the actor that had them was lost."""
        self._pool, self._method, self._items, self._shared = pool, method, items, shared
        self._prepare, self._deadline, self._retries = prepare, deadline, retries
        self._waiting = deque(range(len(items)))
        self._running: dict[Any, _Call] = {}
        self._reviving: dict[Any, Member] = {}
        self._ready: list[Member] = []
        self._losses = [0] * len(items)
        self._stale = [0] * len(items)
        self._results: dict[int, Any] = {}
        self._cancelled = False
        self._alive_at = time.monotonic()
        self._future: Future[list[Any]] = Future()
        threading.Thread(target=self._run, name=f"map-{pool.name}-{method}", daemon=True).start()

    def done(self) -> bool:
        """Whether `result` would answer at once."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> list[Any]:
        """Every item's result, in the order of the items.

        Raises:
            R1RayError: a worker raised one of r1ray's own errors; it is raised as it was.
            WorkerError: a worker raised anything else, or one item used up its retries; with the stderr's tail.
        """
        return self._future.result(timeout)

    def cancel(self) -> None:
        """Issue nothing more and raise from `result`; calls under way run out on their own."""
        self._cancelled = True

    def _run(self) -> None:
        try:
            while len(self._results) < len(self._items):
                self._step()
        except BaseException as error:
            self._future.set_exception(error)
        else:
            self._future.set_result([self._results[index] for index in range(len(self._items))])
        finally:
            held = [*(call.member for call in self._running.values()), *self._reviving.values(), *self._ready]
            for member in held:
                self._pool.release(member)

    def _step(self) -> None:
        """Issue what can be issued, wait a little, take in what ended."""
        if self._cancelled:
            raise WorkerError(f"`{self._method}` on `{self._pool.name}` was cancelled by its caller.")
        self._issue()
        under_way = [*self._running, *self._reviving]
        if not under_way:  # another map holds every member
            member = self._pool.acquire(timeout=1.0)
            if member is not None:
                self._admit(member)
            return
        tick = 1.0 if self._deadline is None else min(1.0, self._deadline / 4)
        ended, _ = ray.wait(under_way, num_returns=1, timeout=tick)
        for ref in ended:
            if ref in self._reviving:
                self._revived(ref)
            else:
                self._ended(ref)
        self._kill_overdue()
        self._check_alive()

    def _issue(self) -> None:
        while self._waiting:
            if not self._ready:
                member = self._pool.acquire()
                if member is None:
                    return
                self._admit(member)
            else:
                self._call(self._waiting.popleft(), self._ready.pop())
        while self._ready:
            self._pool.release(self._ready.pop())

    def _admit(self, member: "Member") -> None:
        """A member that was lost is revived first."""
        if member.down:
            self._reviving[member.revive()] = member
        else:
            self._ready.append(member)

    def _call(self, index: int, member: "Member") -> None:
        ref = member.call(self._method, self._items[index], *self._shared)
        self._running[ref] = _Call(index=index, member=member, started=time.monotonic())

    def _ended(self, ref: Any) -> None:
        call = self._running.pop(ref)
        try:
            self._results[call.index] = ray.get(ref)
            self._ready.append(call.member)
        except RayTaskError as error:
            if isinstance(error.cause, StaleWeights):
                self._refresh(call, error.cause)
            else:
                self._ready.append(call.member)
                raise failure(call.member, self._method, error) from None
        except LOST as error:
            self._lost(call, error)

    def _refresh(self, call: _Call, error: StaleWeights) -> None:
        """Bring a stale worker up to date and give it the same item again."""
        self._stale[call.index] += 1
        if self._prepare is None or self._stale[call.index] > 2:
            self._ready.append(call.member)
            raise error
        if self._bring_up(call.member):
            self._call(call.index, call.member)
        else:
            self._waiting.appendleft(call.index)

    def _lost(self, call: _Call, error: Exception) -> None:
        """Queue the lost item first, revive the member, give up on an item that keeps losing them."""
        self._losses[call.index] += 1
        call.member.down = True
        if self._losses[call.index] > self._retries:
            self._ready.append(call.member)
            reason = f"took longer than {self._deadline} s" if call.overdue else f"was lost ({error})"
            raise WorkerError(
                f"{call.member.name} {reason} in `{self._method}`, item {call.index}, after {self._retries} retries of "
                f"that item on other or restarted workers.{last_words(call.member)}"
            )
        self._waiting.appendleft(call.index)
        self.reissued += 1
        self._pool.reissued += 1
        self._reviving[call.member.revive()] = call.member

    def _revived(self, ref: Any) -> None:
        member = self._reviving.pop(ref)
        try:
            join(member, ref)
        except R1RayError:
            self._ready.append(member)
            raise
        member.down = False
        if self._bring_up(member):
            self._ready.append(member)

    def _bring_up(self, member: "Member") -> bool:
        """Run the caller's `prepare`; False if the member was lost meanwhile and is being revived."""
        if self._prepare is None:
            return True
        try:
            self._prepare(member)
        except LOST:
            member.down = True
            self._reviving[member.revive()] = member
            return False
        except BaseException as error:
            self._ready.append(member)
            if isinstance(error, RayTaskError):
                raise failure(member, "prepare", error) from None
            raise
        return True

    def _check_alive(self) -> None:
        now = time.monotonic()
        if self._running or not self._reviving:
            self._alive_at = now
        elif now - self._alive_at > RESTART_SECONDS:
            raise WorkerError(
                f"No `{self._pool.name}` worker is left, and none was restarted within {RESTART_SECONDS:.0f} s. Each "
                f"books {self._pool.books}; free in the cluster: {ray.available_resources()}."
            )

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for call in self._running.values():
            if self._deadline is not None and not call.overdue and now - call.started > self._deadline:
                call.overdue = True
                call.member.kill()
