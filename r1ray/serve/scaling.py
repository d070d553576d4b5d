"""How many engines there should be: by the tokens that wait and the time to the first token."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Pressure:
    """What all engines together have to do."""

    queued_tokens: float = 0.0
    first_token_s: float = 0.0
    active: float = 0.0
    waiting: float = 0.0
    """Requests that no engine has yet."""


def wanted_engines(
    now: int, pressure: Pressure, *, low: int, high: int, target_tokens: float, target_first_token_s: float
) -> int:
    """Engines for this pressure, between `low` and `high`.

    Each is for `target_tokens` of queue; one more where first tokens are late although the queue is short. It shrinks
    one at a time, and to none only when nothing runs.
    """
    if now == 0:
        return min(high, max(low, 1 if pressure.waiting or pressure.queued_tokens else 0))
    wanted = max(math.ceil(pressure.queued_tokens / target_tokens), 1 if pressure.active or pressure.waiting else 0)
    if target_first_token_s and pressure.first_token_s > target_first_token_s:
        wanted = max(wanted, now + 1)
    elif pressure.active and pressure.queued_tokens > target_tokens / 4:
        wanted = max(wanted, now)  # what is only just enough stays
    return min(high, max(low, wanted, now - 1))


class EngineScaling:
    """The same as a policy of Ray Serve's."""

    def __init__(self, target_tokens: float = 4096, target_first_token_s: float = 2.0) -> None:
        self._target_tokens, self._target_first_token_s = target_tokens, target_first_token_s

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        """Total: an exception here would end scaling for good."""
        metrics: Mapping[str, Mapping[Any, float]] = context.aggregated_metrics or {}

        def values(name: str) -> list[float]:
            return [float(value) for value in (metrics.get(name) or {}).values()] or [0.0]

        pressure = Pressure(
            queued_tokens=sum(values("queued_tokens")),
            first_token_s=max(values("first_token_s")),
            active=sum(values("active")),
            waiting=float(context.total_num_requests or 0.0),
        )
        wanted = wanted_engines(
            context.target_num_replicas,
            pressure,
            low=context.capacity_adjusted_min_replicas,
            high=context.capacity_adjusted_max_replicas,
            target_tokens=self._target_tokens,
            target_first_token_s=self._target_first_token_s,
        )
        return wanted, {}
