"""How a service ends without alarming anybody."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TextIO, cast


@contextlib.contextmanager
def quiet_end() -> Iterator[None]:
    """Around the end of Ray Serve and of the connection to Ray.

    Serve ends its controller while tasks of it run, and Ray prints each of them, to stdout, as one that failed and will
    be tried again. Nothing has failed, and the last line of a job is its figures: those lines, and no others, are left
    out.
    """
    kept = _Kept(sys.stdout, "Task ServeController.")
    with contextlib.redirect_stdout(cast(TextIO, kept)):
        yield
    kept.close()


class _Kept:
    def __init__(self, to: TextIO, about: str) -> None:
        self._to, self._about, self._begun = to, about, ""

    def __getattr__(self, name: str) -> object:
        return getattr(self._to, name)

    def write(self, text: str) -> int:
        *whole, self._begun = (self._begun + text).split("\n")
        for line in whole:
            if self._about not in line:
                self._to.write(line + "\n")
        return len(text)

    def close(self) -> None:
        if self._begun and self._about not in self._begun:
            self._to.write(self._begun)
