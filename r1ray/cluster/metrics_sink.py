"""A metrics sink that Ray's dashboard and Prometheus read: `ppo/entropy` becomes the gauge `r1ray_ppo_entropy`."""

import math
import re
from collections.abc import Mapping

from ray.util.metrics import Gauge


class RayMetricsSink:
    """One gauge a figure, labelled with the run; Ray exports them as `ray_r1ray_<group>_<name>` within about 10 s."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._gauges: dict[str, Gauge] = {}

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Set every gauge, and `r1ray_step`; what is not finite is left out, as a gauge cannot say it."""
        for key, value in {**values, "step": float(step)}.items():
            if math.isfinite(value):
                self._gauge(key).set(value)

    def close(self) -> None:
        """Nothing to bring to its place: gauges live as long as this process."""

    def _gauge(self, key: str) -> Gauge:
        if key not in self._gauges:
            gauge = Gauge(gauge_name(key), description=f"{key} of a run of r1ray", tag_keys=("run",))
            gauge.set_default_tags({"run": self._run})
            self._gauges[key] = gauge
        return self._gauges[key]


def gauge_name(key: str) -> str:
    """`rollout/tokens-per-s` → `r1ray_rollout_tokens_per_s`: letters, digits and underscores only."""
    return "r1ray_" + re.sub(r"\W+", "_", key, flags=re.ASCII)
