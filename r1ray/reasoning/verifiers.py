"""What a grader process runs: requests come in on stdin, one JSON object a line, and replies go out the same way.

    {"reference": "x^2", "answer": "x*x", "verifier": "math", "seconds": 2.0}
    {"state": "started"}  then  {"state": "done", "score": 1.0}  or  {"state": "failed", "reason": "ValueError: …"}

`started` is sent after imports, so that they do not count against the deadline. This process is made to be killed.
"""

import contextlib
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from r1ray.errors import ConfigError
from r1ray.reasoning.functions import load_function

Verifier = Callable[[str, str], float]
"""Reference and answer to a score; 1 is right."""

MATH = "math"
REASONING_GYM = "reasoning-gym/"
_MEMORY_BYTES = 4 << 30


@cache
def load_verifier(name: str) -> Verifier:
    """`math`, `reasoning-gym/<task>`, or a user's `module.py:function` that takes reference and answer.

    Raises:
        ConfigError: no such verifier, or the library behind it is not installed.
    """
    if name == MATH:
        return _math_verifier()
    if name.startswith(REASONING_GYM):
        return _reasoning_gym_verifier(name.removeprefix(REASONING_GYM))
    if ":" in name:
        return load_function(name).call
    raise ConfigError(
        f"There is no verifier {name!r}; expected `{MATH}`, `{REASONING_GYM}<task>` or `module.py:function`."
    )


def _math_verifier() -> Verifier:
    try:
        from math_verify import parse, verify
    except ImportError as error:
        raise ConfigError(f"The `math` verifier needs math-verify: pip install math-verify ({error}).") from error
    # It warns that its own signal-based timeouts are off: the deadline here is the parent's.
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)

    def score(reference: str, answer: str) -> float:
        gold, target = (parse(f"${text.strip().strip('$')}$", parsing_timeout=None) for text in (reference, answer))
        return float(verify(gold, target, timeout_seconds=None))

    return score


def _reasoning_gym_verifier(task: str) -> Verifier:
    try:
        from reasoning_gym import get_score_answer_fn
    except ImportError as error:
        raise ConfigError(
            f"The verifier of {REASONING_GYM}{task} needs reasoning-gym: pip install reasoning-gym ({error})."
        ) from error
    try:
        score_answer = get_score_answer_fn(task)
    except ValueError as error:
        raise ConfigError(f"reasoning-gym has no task {task!r} ({error}).") from error

    def score(reference: str, answer: str) -> float:
        return float(score_answer(answer=answer, entry=json.loads(reference)))

    return score


def serve(requests: Any, reply: Callable[[dict[str, Any]], None]) -> None:
    """Answer each request line until there are no more."""
    reply({"state": "ready"})
    for line in requests:
        request = json.loads(line)
        try:
            verifier = load_verifier(request["verifier"])
        except ConfigError as error:
            reply({"state": "unusable", "reason": str(error)})
            continue
        reply({"state": "started"})
        # Should the parent be gone, nobody else ends an endless comparison: SIGALRM's default action does, even in C.
        signal.setitimer(signal.ITIMER_REAL, 2 * request["seconds"] + 5)
        try:
            outcome: dict[str, Any] = {
                "state": "done",
                "score": float(verifier(request["reference"], request["answer"])),
            }
        except Exception as error:  # whatever a verifier raises is a failed grading, never the end of the run
            outcome = {"state": "failed", "reason": f"{type(error).__name__}: {error}"[:500]}
        signal.setitimer(signal.ITIMER_REAL, 0)
        reply(outcome)


def main() -> None:
    """The process's entry: keep stdout for replies, limit memory, leave Ctrl-C to the parent."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a verifier's print must not be read as a reply
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))

    def reply(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=replies, flush=True)

    serve(sys.stdin, reply)


if __name__ == "__main__":
    main()
