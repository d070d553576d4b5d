"""Threads that stand back for others."""

import os
import sys
import threading

import pytest

from r1ray.serve.background import stand_back


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a niceness of its own on Linux alone")
def test_a_thread_and_those_it_starts_stand_back_and_nobody_else() -> None:
    seen: list[int] = []

    def note() -> None:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def work() -> None:
        stand_back(7)
        note()
        child = threading.Thread(target=note)
        child.start()
        child.join()

    before = os.getpriority(os.PRIO_PROCESS, 0)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [min(19, before + 7)] * 2
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
