"""The driver's side of a learner: when it starts, what it tells of an error, and what Ctrl-C does."""

from types import SimpleNamespace
from typing import Any

import pytest

from r1ray.config.jobs import PPOJobConfig
from r1ray.errors import DataError
from r1ray.rl import actors


class Mailbox:
    def __init__(self, stopping: bool = False) -> None:
        self.stopping, self.events = stopping, []

    def ask(self, kind: str, payload: Any = None) -> bool:
        self.events.append((kind, payload))
        return self.stopping


class Context:
    rank, device = 0, "cpu"

    def __init__(self, ranks: int) -> None:
        self.world_size = ranks

    def scatter(self, parts: Any) -> Any:
        return parts[0]

    def meet(self) -> None: ...

    def report(self, values: Any) -> None: ...


class Pool:
    def __init__(self) -> None:
        self.waited = False

    def ready(self, timeout: float) -> None:
        self.waited = True


class Session:
    """Fails with whatever the test says."""

    error: Exception

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def run(self) -> None:
        raise self.error


def learn(mailbox: Mailbox, ranks: int, monkeypatch: pytest.MonkeyPatch, error: Exception) -> dict[str, Pool]:
    monkeypatch.setattr(actors, "Session", Session)
    monkeypatch.setattr(actors, "ray", SimpleNamespace(get=lambda ref: ref, put=lambda value: value))
    monkeypatch.setattr(Session, "error", error, raising=False)
    pools = {"rollout": Pool(), "reward": Pool()}
    payload = {"config": PPOJobConfig(), "run": None, "problems": None, "pools": pools, "mailbox": mailbox}
    actors.learn(payload, Context(ranks))  # type: ignore[arg-type]
    return pools


def test_a_learner_that_starts_after_the_stop_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mailbox = Mailbox(stopping=True)
    pools = learn(mailbox, 1, monkeypatch, AssertionError("the session must not run"))
    assert mailbox.events == [("started", 0)]
    assert not pools["rollout"].waited


def test_an_error_of_r1ray_is_told_once_and_ends_a_single_learner_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    mailbox, error = Mailbox(), DataError("row 7 is empty")
    pools = learn(mailbox, 1, monkeypatch, error)
    assert mailbox.events == [("started", 0), ("error", error)]
    assert all(pool.waited for pool in pools.values())


def test_one_of_several_learners_raises_it_too_for_the_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    mailbox, error = Mailbox(), DataError("row 7 is empty")
    with pytest.raises(DataError, match="row 7"):
        learn(mailbox, 2, monkeypatch, error)
    assert mailbox.events == [("started", 0), ("error", error)]


def test_any_other_error_is_left_to_ray_train_to_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    mailbox = Mailbox()
    with pytest.raises(ZeroDivisionError):
        learn(mailbox, 1, monkeypatch, ZeroDivisionError())
    assert mailbox.events == [("started", 0)]
