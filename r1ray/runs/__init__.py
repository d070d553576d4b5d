"""The run folder: what a run was asked, what it did, and what the next step needs."""

from r1ray.runs.checkpoints import Checkpoint, Checkpoints
from r1ray.runs.run import Run

__all__ = ["Checkpoint", "Checkpoints", "Run"]
