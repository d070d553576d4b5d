"""The driver's mailbox on a real local Ray: order, stopping, and answers that come late."""

import pickle
import time

import pytest
import ray

from r1ray.cluster.mailbox import Mailbox

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


def drain(mailbox: Mailbox, count: int) -> list[tuple[str, object]]:
    """`count` events, or what came of them within half a minute."""
    events: list[tuple[str, object]] = []
    end = time.monotonic() + 30
    while len(events) < count and time.monotonic() < end:
        events += [(event.kind, event.payload) for event in mailbox.take()]
    return events


def test_events_arrive_once_and_in_order() -> None:
    mailbox = Mailbox()
    assert mailbox.take() == []
    mailbox.post("note", "one")
    assert not mailbox.ask("step", (1, {"reward/total": 0.5}))
    mailbox.post("note")
    assert drain(mailbox, 3) == [("note", "one"), ("step", (1, {"reward/total": 0.5})), ("note", None)]
    assert mailbox.take() == []


def test_whoever_asks_after_the_driver_said_stop_is_told() -> None:
    mailbox = Mailbox()
    assert not mailbox.ask("started")
    mailbox.stop()
    assert mailbox.ask("step") and mailbox.ask("step")


def test_a_worker_in_another_process_posts_through_its_copy() -> None:
    mailbox = Mailbox()
    mailbox.take()

    def worker(box: Mailbox) -> bool:
        return box.ask("note", "from afar")

    assert ray.get(ray.remote(num_cpus=0.1)(worker).remote(mailbox)) is False
    assert drain(mailbox, 1) == [("note", "from afar")]


def test_an_answer_that_comes_too_late_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    mailbox = Mailbox()
    mailbox.ask("note", "patience")
    with monkeypatch.context() as busy:
        busy.setattr(ray, "wait", lambda refs, timeout: ([], refs))
        assert mailbox.take() == []
    mailbox.ask("note", "more")
    copy = pickle.loads(ray.cloudpickle.dumps(mailbox))  # has no part in the answer that is awaited
    assert drain(mailbox, 2) == [("note", "patience"), ("note", "more")]
    assert copy.take() == []
