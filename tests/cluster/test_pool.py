"""The pool on a real local Ray: lost, hung, stale and broken workers."""

import os
import pickle
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from r1ray.cluster.pool import ActorPool, Member
from r1ray.errors import DataError, ResourceError, StaleWeights, WorkerError

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


class Worker:
    """Does as it is told; what it does once, it does once in all its incarnations, which leave each other marks in
    `folder`."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.version = 0

    def square(self, x: int) -> int:
        return x * x

    def pid(self, _: int) -> int:
        time.sleep(0.05)
        return os.getpid()

    def die_once(self, x: int, victim: int, once: str) -> int:
        if x == victim and self._first_time(once):
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    def hang_once(self, x: int, victim: int, once: str) -> int:
        if x == victim and self._first_time(once):
            time.sleep(3600)
        return x

    def always_die(self, _: int) -> None:
        print("the last words of a worker", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    def raise_own(self, x: int) -> None:
        raise DataError(f"row {x} is empty")

    def raise_other(self, x: int) -> float:
        return 1 / (x - x)

    def load_weights(self, version: int) -> None:
        self.version = version

    def answer(self, x: int, version: int) -> tuple[int, int]:
        if self.version != version:
            raise StaleWeights(f"holds {self.version}, asked for {version}")
        return x, self.version

    def die_once_then_answer(self, x: int, version: int, once: str) -> tuple[int, int]:
        self.die_once(x, 1, once)
        return self.answer(x, version)

    def _first_time(self, mark: str) -> bool:
        try:
            (self.folder / mark).touch(exist_ok=False)  # atomic: two workers may ask at once
        except FileExistsError:
            return False
        return True


@pytest.fixture(scope="module")
def pool(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActorPool]:
    """Two workers, shared by the tests: each leaves them alive, and knows nothing of their versions."""
    yield from _pool(tmp_path_factory, count=2)


@pytest.fixture(scope="module")
def single(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActorPool]:
    """The same with one worker: whatever is lost must come back."""
    yield from _pool(tmp_path_factory, count=1)


def _pool(tmp_path_factory: pytest.TempPathFactory, count: int) -> Iterator[ActorPool]:
    folder = str(tmp_path_factory.mktemp("pool"))
    pool = ActorPool(Worker, args=(folder,), count=count, num_cpus=0.1, name="worker").ready()
    yield pool
    pool.close()


@pytest.fixture
def once(request: pytest.FixtureRequest) -> str:
    """A mark of the test's own for what a worker does only the first time."""
    return str(request.node.name)


def test_results_come_in_the_order_of_the_items(pool: ActorPool) -> None:
    assert pool.map("square", range(20)) == [x * x for x in range(20)]


def test_every_member_gets_work(pool: ActorPool) -> None:
    assert len(set(pool.map("pid", range(12)))) == 2


def test_a_map_of_nothing_is_nothing(pool: ActorPool) -> None:
    assert pool.map("square", []) == []


def test_started_maps_go_on_while_their_caller_does_other_work(pool: ActorPool) -> None:
    first, second = pool.start("square", range(6)), pool.start("square", range(6, 9))
    assert second.result() == [36, 49, 64]
    assert first.result() == [0, 1, 4, 9, 16, 25]
    assert first.done()


def test_an_error_of_r1ray_arrives_as_it_was(pool: ActorPool) -> None:
    with pytest.raises(DataError, match="row 7 is empty"):
        pool.map("raise_own", [7])


def test_any_other_error_names_the_worker_and_shows_where_it_was_raised(single: ActorPool) -> None:
    with pytest.raises(
        WorkerError, match=r"worker 0 failed in `raise_other`[\s\S]*in raise_other[\s\S]*ZeroDivisionError"
    ):
        single.map("raise_other", [7])


def test_a_stale_worker_is_prepared_and_asked_again(pool: ActorPool) -> None:
    prepared: list[str] = []

    def prepare(member: Member) -> None:
        prepared.append(member.name)
        member.run("load_weights", 5)

    pool.broadcast("load_weights", 4)
    assert pool.map("answer", range(4), 5, prepare=prepare) == [(x, 5) for x in range(4)]
    assert sorted(prepared) == ["worker 0", "worker 1"]


def test_a_stale_worker_that_nobody_can_prepare_is_an_error(single: ActorPool) -> None:
    single.broadcast("load_weights", 4)
    with pytest.raises(StaleWeights, match="holds 4, asked for 5"):
        single.map("answer", [0], 5)


def test_preparing_in_vain_ends(single: ActorPool) -> None:
    with pytest.raises(StaleWeights):
        single.map("answer", [0], 5, prepare=lambda member: member.run("load_weights", 4))


def test_an_error_while_preparing_ends_the_map_and_leaves_the_pool_usable(single: ActorPool) -> None:
    single.broadcast("load_weights", 4)
    with pytest.raises(DataError, match="row 0 is empty"):
        single.map("answer", [0], 5, prepare=lambda member: member.run("raise_own", 0))
    assert single.map("square", [3]) == [9]


def test_a_worker_killed_in_the_middle_of_a_call_loses_nothing(pool: ActorPool, once: str) -> None:
    before = pool.reissued
    assert pool.map("die_once", range(8), 3, once) == list(range(8))
    assert pool.reissued == before + 1


def test_the_only_worker_comes_back_and_is_prepared_before_it_gets_work(single: ActorPool, once: str) -> None:
    prepared: list[str] = []

    def prepare(member: Member) -> None:
        prepared.append(member.name)
        member.run("load_weights", 5)

    single.broadcast("load_weights", 5)
    assert single.map("die_once_then_answer", range(3), 5, once, prepare=prepare) == [(0, 5), (1, 5), (2, 5)]
    assert prepared == ["worker 0"]


def test_a_worker_that_hangs_is_killed_at_the_deadline_and_its_item_issued_again(pool: ActorPool, once: str) -> None:
    before = pool.reissued
    assert pool.map("hang_once", range(4), 2, once, deadline=2.0) == [0, 1, 2, 3]
    assert pool.reissued == before + 1


def test_an_item_that_kills_its_workers_ends_the_map_with_their_stderr_and_the_pool_works_on(single: ActorPool) -> None:
    with pytest.raises(WorkerError, match=r"after 0 retries[\s\S]*the last words of a worker"):
        single.map("always_die", [0], retries=0)
    assert single.map("square", [3]) == [9]


def test_retries_of_one_item_are_bounded(pool: ActorPool) -> None:
    with pytest.raises(WorkerError, match="after 1 retries"):
        pool.map("always_die", [0], retries=1)


def test_a_worker_killed_from_outside_between_maps_is_noticed_and_revived(single: ActorPool) -> None:
    os.kill(single.map("pid", [0])[0], signal.SIGKILL)
    assert single.map("square", range(3)) == [0, 1, 4]


def test_a_broadcast_reaches_everyone_and_survives_a_lost_worker(pool: ActorPool, once: str) -> None:
    pool.ready()  # an earlier test's victims may still be restarting
    assert pool.broadcast("square", 3) == [9, 9]
    assert sorted(map(str, pool.broadcast("die_once", 1, 1, once))) == ["1", "None"]
    assert pool.map("square", range(3)) == [0, 1, 4]


def test_a_pool_travels_into_another_process_and_recovers_there(pool: ActorPool, once: str) -> None:
    def elsewhere(pickled: bytes) -> list[int]:
        return pickle.loads(pickled).map("die_once", range(4), 2, once)

    assert ray.get(ray.remote(num_cpus=0.1)(elsewhere).remote(ray.cloudpickle.dumps(pool))) == [0, 1, 2, 3]


def test_a_cancelled_map_raises_instead_of_waiting(single: ActorPool, once: str) -> None:
    pending = single.start("hang_once", [0, 1], 0, once)
    pending.cancel()
    with pytest.raises(WorkerError, match="cancelled"):
        pending.result()
    single.members[0].kill()


def test_a_worker_that_cannot_be_built_says_why(ray_session: None) -> None:
    def build() -> Any:
        raise DataError("no such model")

    pool = ActorPool(build, num_cpus=0.1)
    with pytest.raises(DataError, match="no such model"):
        pool.ready()
    pool.close()


def test_too_few_cpus_for_a_pool_is_said_with_what_it_books(ray_session: None) -> None:
    pool = ActorPool(Worker, args=("",), num_cpus=1000, name="giant")
    with pytest.raises(ResourceError, match=r"0 of 1 `giant` workers[\s\S]*1000"):
        pool.ready(timeout=0.5)
    pool.close()
