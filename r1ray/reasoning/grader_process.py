"""One killable grader process, as its parent sees it.

A plain subprocess with pipes rather than `multiprocessing`: it starts from any thread of any process, never imports the
parent's `__main__` again (a Ray worker's, say), and needs no signal handler in the parent.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import Any

_SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class GraderProcess:
    """A process that runs `r1ray.reasoning.verifiers`, one request at a time."""

    def __init__(self) -> None:
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "r1ray.reasoning.verifiers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_SINGLE_THREADED, "PYTHONPATH": path},
            start_new_session=True,  # what a verifier itself starts is killed with it
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._requests, self._replies = self._process.stdin, self._process.stdout
        self._unread = b""

    def fileno(self) -> int:
        """The descriptor to wait on for replies."""
        return self._replies.fileno()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def send(self, request: dict[str, Any]) -> None:
        """Hand over a request; only to a process that waits for one."""
        with contextlib.suppress(BrokenPipeError):  # it died just now: the end of its replies says so
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()

    def receive(self) -> list[dict[str, Any]] | None:
        """Replies that have arrived, or `None` once the process has ended. Call it when `fileno` is readable."""
        chunk = os.read(self._replies.fileno(), 1 << 16)
        if not chunk:
            return None
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        return [json.loads(line) for line in lines]

    def kill(self) -> str:
        """SIGKILL it and all it started, reap it, and say how it ended."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        for pipe in (self._requests, self._replies):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
