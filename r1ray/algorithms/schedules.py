"""Learning-rate schedules: a factor on every peak rate, as a pure function of the optimizer step."""

import math

from r1ray.errors import ConfigError

SCHEDULES = ("constant", "linear", "cosine", "wsd")


def schedule_factor(
    schedule: str, step: int, total: int, *, warmup: int = 0, decay_fraction: float = 0.2, floor: float = 0.0
) -> float:
    """Factor at optimizer step `step` (0-based) of `total`, between `floor` and 1 after the warm-up.

    Warm-up rises linearly and reaches 1 at step `warmup` − 1; the first step learns something. Steps past the last have
    the last one's factor.

    Args:
        schedule: `constant`; `linear` or `cosine` from the warm-up's end to `total`; `wsd` (warm-up, stable, decay:
            MiniCPM, arXiv 2404.06395 section 4): 1 until the last `decay_fraction` of all steps, then linear.
        warmup: optimizer steps of warm-up.
        decay_fraction: of `total`, under `wsd`; 0 = never decay.
        floor: factor that is reached at `total`.

    Raises:
        ConfigError: no such schedule.
    """
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    start = max(warmup, total - round(decay_fraction * total)) if schedule == "wsd" else warmup
    progress = min(1.0, max(0.0, (step - start) / max(1, total - start)))
    if schedule == "cosine":
        left = 0.5 * (1.0 + math.cos(math.pi * progress))
    elif schedule in ("linear", "wsd"):
        left = 1.0 - progress
    else:
        raise ConfigError(f"schedule is {schedule!r}; expected one of {', '.join(SCHEDULES)}.")
    return floor + (1.0 - floor) * left
