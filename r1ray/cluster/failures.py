"""What a failed call means: a lost process, whose call may be issued again, or an error that would come again."""

import re
from typing import TYPE_CHECKING, Any

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


def join(member: "Member", ref: Any) -> None:
    """Wait for a starting member.

    Raises:
        R1RayError: what building the worker raised, or a `WorkerError` if its process died of it.
    """
    try:
        ray.get(ref)
    except RayTaskError as error:
        raise failure(member, "ready", error) from None
    except LOST as error:
        raise WorkerError(f"{member.name} died while it was being started ({error}).{last_words(member)}") from None


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
