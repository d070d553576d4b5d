"""Engines follow the queue, up at once and down one by one."""

from types import SimpleNamespace

import pytest

from r1ray.serve.scaling import EngineScaling, Pressure, wanted_engines


@pytest.mark.parametrize(
    ("now", "pressure", "expected"),
    [
        (1, Pressure(queued_tokens=9000, active=30), 3),
        (1, Pressure(queued_tokens=10**6, active=30), 4),
        (1, Pressure(first_token_s=5.0, active=3), 2),
        (4, Pressure(), 3),
        (1, Pressure(), 0),
        (1, Pressure(active=1), 1),
        (2, Pressure(queued_tokens=3000, active=9), 2),
        (0, Pressure(), 0),
        (0, Pressure(waiting=1), 1),
    ],
)
def test_engines_by_pressure(now: int, pressure: Pressure, expected: int) -> None:
    assert wanted_engines(now, pressure, low=0, high=4, target_tokens=4096, target_first_token_s=2.0) == expected


def test_the_policy_reads_what_serve_gives_it_and_survives_nothing() -> None:
    context = SimpleNamespace(
        aggregated_metrics={"queued_tokens": {"a": 5000.0, "b": 5000.0}, "active": {"a": 3.0}},
        total_num_requests=3.0,
        target_num_replicas=2,
        capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=8,
    )
    assert EngineScaling(target_tokens=2000)(context) == (5, {})
    context.aggregated_metrics, context.total_num_requests = None, None
    assert EngineScaling()(context) == (1, {})
