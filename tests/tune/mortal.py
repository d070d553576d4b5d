"""Trials that die."""

import os
import signal
from typing import Any

from r1ray.tune.search import TinyTrial


class MortalTrial(TinyTrial):
    """Its process is killed where the batch is large; its result is no number where the batch is small."""

    def step(self) -> dict[str, Any]:
        batch = self._training._config.tiny.batch
        if batch >= 14:
            os.kill(os.getpid(), signal.SIGKILL)
        figures = super().step()
        return {**figures, "objective": float("nan")} if batch <= 5 else {**figures, "pid": os.getpid()}
