"""A worker that dies while it starts is tried again when the machine's memory is full, and only then."""

from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError

from r1ray.cluster import failures
from r1ray.errors import WorkerError


class Starting:
    """A member whose process dies so many times before it is up."""

    name = "reward 0"
    identity = None

    def __init__(self, deaths: int) -> None:
        self.deaths, self.revived = deaths, 0

    def revive(self) -> "Starting":
        self.revived += 1
        return self

    def get(self, ref: Any) -> None:
        if self.revived < self.deaths:
            raise ActorUnavailableError("The actor is restarting", None)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(failures.time, "sleep", slept.append)
    return slept


def begin(member: Starting, used: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_memory_used", lambda: used)
    monkeypatch.setattr(failures.ray, "get", member.get)
    failures.join(member, member)  # type: ignore[arg-type]


def test_it_comes_up_once_there_is_memory(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    member = Starting(deaths=2)
    begin(member, 0.97, monkeypatch)
    assert member.revived == 2 and waits == [failures.MEMORY_SECONDS] * 2


def test_memory_that_stays_full_is_named(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorkerError, match="reward 0 died while it was being started") as caught:
        begin(Starting(deaths=99), 0.97, monkeypatch)
    assert "memory is 97% full" in str(caught.value) and len(waits) == failures.MEMORY_WAITS


def test_any_other_death_ends_at_once(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorkerError) as caught:
        begin(Starting(deaths=99), 0.3, monkeypatch)
    assert "memory" not in str(caught.value) and not waits
