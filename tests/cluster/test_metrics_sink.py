"""Figures reach Ray's metrics under names that Prometheus accepts."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.cluster import metrics_sink
from r1ray.cluster.metrics_sink import RayMetricsSink, gauge_name


class FakeGauge:
    """Records what Ray's gauge would export."""

    made: dict[str, "FakeGauge"]

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
        assert name not in self.made, "a gauge of one name is made once"
        self.values: list[float] = []
        self.tags: dict[str, str] = {}
        self.made[name] = self

    def set_default_tags(self, tags: dict[str, str]) -> None:
        self.tags = tags

    def set(self, value: float) -> None:
        self.values.append(value)


@pytest.fixture
def gauges(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    FakeGauge.made = {}
    monkeypatch.setattr(metrics_sink, "Gauge", FakeGauge)
    return FakeGauge.made


def test_each_figure_is_a_gauge_of_its_run(gauges: dict[str, Any]) -> None:
    sink = RayMetricsSink("ppo-1")
    sink.write(1, {"reward/outcome": 0.25})
    sink.write(2, {"reward/outcome": 0.5})
    assert gauges["r1ray_reward_outcome"].values == [0.25, 0.5]
    assert gauges["r1ray_reward_outcome"].tags == {"run": "ppo-1"}
    assert gauges["r1ray_step"].values == [1.0, 2.0]


def test_what_is_not_finite_is_left_out(gauges: dict[str, Any]) -> None:
    RayMetricsSink("ppo-1").write(1, {"ppo/ref_kl": float("nan"), "ppo/entropy": float("inf")})
    assert set(gauges) == {"r1ray_step"}


@given(st.text(min_size=1))
def test_any_key_becomes_a_name_that_prometheus_accepts(key: str) -> None:
    assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", gauge_name(key))


@pytest.mark.ray
def test_rays_own_gauge_takes_what_the_sink_gives(ray_session: None) -> None:
    sink = RayMetricsSink("ppo-1")
    sink.write(1, {"rollout/tokens-per-s": 7.0})
    sink.close()
