"""Threads that compute, on processors that they share with the processes that carry requests."""

import os
import sys
import threading


def stand_back(niceness: int) -> None:
    """Let everyone else go first who wants the processor for a moment: this thread, and the threads that it starts.

    Args:
        niceness: added to what the thread has, as nice(1) has it; 0 changes nothing. Linux alone knows it by thread.
    """
    if niceness and sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + niceness)
