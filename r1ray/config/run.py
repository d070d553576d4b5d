"""Where a run writes, what it is called, and what makes it repeatable."""

from dataclasses import dataclass

from r1ray.config.base import require_range


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """The run folder and the run's seed."""

    name: str = ""
    """Name of the run folder; empty = job and start time, `ppo-20260102-030405`."""
    storage: str = "runs"
    """Folder that holds run folders: a path (made absolute at once) or a URI such as `s3://bucket/runs`. Under `ray job
    submit` a relative path would vanish with Ray's package folder, so there it is taken from the home directory."""
    seed: int = 0
    """Every random choice follows from it."""
    checkpoint_every: int = 10
    """Steps between checkpoints; 0 = only at the end and on Ctrl-C."""
    keep_checkpoints: int = 2
    """Complete checkpoints that are kept; older ones are removed."""
    samples_every: int = 1
    """Steps between the rollouts written to `samples.jsonl`; 0 = none."""
    report: bool = True
    """Write `report.html` at the end."""

    def __post_init__(self) -> None:
        require_range("run.checkpoint_every", self.checkpoint_every, 0)
        require_range("run.keep_checkpoints", self.keep_checkpoints, 1)
        require_range("run.samples_every", self.samples_every, 0)
