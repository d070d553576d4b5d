"""How many requests run side by side: few while few come, more under load, fewer again when a step takes too long."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class RowLimit:
    """Between `low` and `high`, doubled while requests wait and steps are quick, cut by a quarter when they are not."""

    low: int = 8
    high: int = 128
    slow_step: float = 0.0
    """Seconds that a step may take; 0 = any."""
    now: int = field(init=False)

    def __post_init__(self) -> None:
        self.now = min(self.low, self.high)

    def after_step(self, seconds: float, running: int, waiting: int) -> None:
        """Learn from one step."""
        if self.slow_step and seconds > self.slow_step:
            self.now = max(self.low, self.now * 3 // 4)
        elif waiting and running >= self.now:
            self.now = min(self.high, self.now * 2)
        elif not waiting and running < self.now // 4:
            self.now = max(self.low, self.now // 2)
