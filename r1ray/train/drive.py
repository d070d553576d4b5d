"""The driver's side of a group of learners: run it in a thread, hear what it has to say, let Ctrl-C finish a step."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from r1ray.cluster.mailbox import Mailbox
from r1ray.config.resources import ResourcesConfig
from r1ray.runs import Run
from r1ray.train.trainer import Worker, fit
from r1ray.train.watch import Watcher

POLL_SECONDS = 0.5


def drive(
    worker: Worker,
    payload: Mapping[str, Any],
    watcher: Watcher,
    *,
    run: Run,
    resources: ResourcesConfig,
    mailbox: Mailbox,
) -> None:
    """Run the learner group until it ends. The first Ctrl-C lets it finish its step and write a checkpoint.

    Raises:
        KeyboardInterrupt: after Ctrl-C, when the group has ended.
        R1RayError: what ended the group, if something did.
    """
    failure: list[BaseException] = []

    def work() -> None:
        try:
            fit(worker, payload, resources, storage=str(run.folder / "ray_train"), name=run.name)
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, name="ray-train", daemon=True)
    thread.start()
    interrupted, stopping = threading.Event(), False
    with first_ctrl_c(interrupted.set):
        while thread.is_alive():
            thread.join(POLL_SECONDS)
            failed = watcher.take(mailbox.take())
            if not stopping and (failed or interrupted.is_set()):
                stopping = True
                mailbox.stop()
                if not failed:
                    watcher.note("Stopping after this step, with a checkpoint. Ctrl-C again stops at once.")
    watcher.take(mailbox.take())
    watcher.raise_error()
    if interrupted.is_set():
        raise KeyboardInterrupt
    if failure:
        raise failure[0]


@contextlib.contextmanager
def first_ctrl_c(handle: Callable[[], object]) -> Iterator[None]:
    """Call `handle` on the first Ctrl-C, instead of breaking into whatever is going on; the next one does, as ever."""
    if threading.current_thread() is not threading.main_thread():  # where Python lets nobody handle signals
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def once(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        handle()

    signal.signal(signal.SIGINT, once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
