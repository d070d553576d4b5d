"""Too few resources are said before anything starts, required beside available."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.cluster import preflight
from r1ray.cluster.plan import make_plan
from r1ray.cluster.preflight import check, fits, nodes, wait_until_fits
from r1ray.config.jobs import PPOJobConfig
from r1ray.config.resources import ResourcesConfig
from r1ray.errors import ResourceError


def node(cpus: float = 0, gpus: float = 0, gib: float = 64) -> dict[str, float]:
    return {"CPU": cpus, "GPU": gpus, "memory": gib * 2**30}


def bundle(cpus: float = 0, gpus: float = 0, gib: float = 0) -> dict[str, float]:
    return node(cpus, gpus, gib)


def test_the_default_job_fits_onto_two_cores() -> None:
    check(make_plan(PPOJobConfig()), [node(cpus=2, gib=24)])


def test_what_is_missing_is_said_beside_what_is_there() -> None:
    plan = make_plan(PPOJobConfig(resources=ResourcesConfig(learners=4, learner_gpus=1)))
    with pytest.raises(ResourceError) as error:
        check(plan, [node(cpus=8, gpus=2)])
    assert re.search(r"GPU +4 required +2 there +<- too few", str(error.value))
    assert re.search(r"CPU +3\.3 required +8 there\n", str(error.value))


def test_a_worker_that_no_single_node_holds_is_said_so() -> None:
    plan = make_plan(PPOJobConfig(resources=ResourcesConfig(learner_gpus=2)))
    with pytest.raises(ResourceError, match="no single node has room"):
        check(plan, [node(cpus=4, gpus=1), node(cpus=4, gpus=1)])


def test_workers_spread_over_nodes_where_each_finds_room() -> None:
    assert fits([bundle(cpus=2), bundle(cpus=2), bundle(cpus=1)], [node(cpus=3), node(cpus=2)])
    assert not fits([bundle(cpus=2), bundle(cpus=2), bundle(cpus=2)], [node(cpus=3), node(cpus=3)])


@given(bundles=st.lists(st.integers(1, 8), max_size=8), cores=st.lists(st.integers(1, 16), min_size=1, max_size=4))
def test_what_fits_is_no_more_than_the_sum_and_one_large_node_takes_all(bundles: list[int], cores: list[int]) -> None:
    asked = [bundle(cpus=cpus) for cpus in bundles]
    if fits(asked, [node(cpus=n) for n in cores]):
        assert sum(bundles) <= sum(cores)
    assert fits(asked, [node(cpus=max(1, sum(bundles)))])


def test_checking_leaves_the_nodes_as_they_were() -> None:
    available = [node(cpus=4)]
    fits([bundle(cpus=3)], available)
    assert available == [node(cpus=4)]


def test_nodes_that_arrive_while_waiting_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, asked = iter([[], [], [node(cpus=4)]]), []
    monkeypatch.setattr(preflight, "nodes", lambda: next(seen))
    monkeypatch.setattr(preflight, "request_resources", lambda bundles: asked.append(bundles))
    monkeypatch.setattr(preflight.time, "sleep", lambda _: None)
    wait_until_fits(make_plan(PPOJobConfig()), wait_seconds=60)
    assert len(asked[0]) == 3  # the autoscaler was asked for a learner, a rollout and a reward worker
    assert asked[-1] == []  # and the request was taken back


@pytest.mark.ray
def test_the_connected_cluster_is_measured(ray_session: None) -> None:
    (only,) = nodes()
    assert only["CPU"] == 4
    with pytest.raises(ResourceError, match="GPU"):
        wait_until_fits(make_plan(PPOJobConfig(resources=ResourcesConfig(learner_gpus=1))), wait_seconds=0)
