"""What a failed call means: a lost process, whose call may be issued again, or an error that would come again."""

import re
import time
from typing import TYPE_CHECKING, Any

import psutil
import ray
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    WorkerCrashedError,
)

from r1ray.cluster.host import stderr_tail
from r1ray.errors import R1RayError, WorkerError

if TYPE_CHECKING:
    from r1ray.cluster.pool import Member

LOST = (RayActorError, NodeDiedError, ObjectLostError, OutOfMemoryError, WorkerCrashedError)
"""The process is gone, or its result is: the call may be issued again. Anything else would fail again likewise."""


MEMORY_FULL = 0.85
"""Share of this machine's memory in use at which a death while starting is put down to it; Ray kills at 0.95."""
MEMORY_WAITS = 4
"""How often a start that failed for it is tried again,"""
MEMORY_SECONDS = 10.0
"""after so long: what fills the memory may be a worker that is about to end."""


def join(member: "Member", ref: Any) -> None:
    """Wait for a starting member, and for memory where that is what it died of.

    Raises:
        R1RayError: what building the worker raised, or a `WorkerError` if its process died of it.
    """
    for wait in range(MEMORY_WAITS + 1):
        try:
            ray.get(ref)
            return
        except RayTaskError as error:
            raise failure(member, "ready", error) from None
        except LOST as error:
            used = _memory_used()
            full = used >= MEMORY_FULL or "memory" in str(error).lower()
            if not full or wait == MEMORY_WAITS:
                said = f"{member.name} died while it was being started ({error}).{last_words(member)}"
                raise WorkerError(said + (_MEMORY.format(used=used) if full else "")) from None
        time.sleep(MEMORY_SECONDS)
        ref = member.revive()


_MEMORY = (
    "\nThis machine's memory is {used:.0%} full, and Ray kills workers when it is nearly so. End other programs, or "
    "ask for fewer or smaller workers (resources.*, engine.max_rows, optim.tokens_per_microbatch)."
)


def _memory_used() -> float:
    return float(psutil.virtual_memory().percent) / 100


def failure(member: "Member", method: str, error: RayTaskError) -> R1RayError:
    """What to raise for an exception inside a worker: r1ray's own as it was, others shown in a `WorkerError`."""
    if isinstance(error.cause, R1RayError):
        return error.cause
    remote = re.sub(r"\x1b\[\d+m", "", str(error)).strip()
    return WorkerError(f"{member.name} failed in `{method}`: {error.cause!r}\n{remote}{last_words(member)}")


def last_words(member: "Member") -> str:
    """The tail of a member's stderr as a paragraph, or nothing."""
    tail = stderr_tail(member.identity)
    return f"\nIts stderr ended with:\n{tail}" if tail else ""
