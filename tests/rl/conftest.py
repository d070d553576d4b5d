"""A tiny policy and rollouts of it, made once; tests do not write to them."""

from pathlib import Path

import pytest

from r1ray.types import ScoredRollout
from tests.rl.helpers import job, rollout_worker, sample, score
from tests.tiny import make_tiny_policy


@pytest.fixture(scope="session")
def tiny_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random tiny policy's folder."""
    return make_tiny_policy(tmp_path_factory.mktemp("tiny") / "policy", layers=1, hidden=32)


@pytest.fixture(scope="session")
def scored(tiny_policy: Path) -> list[ScoredRollout]:
    """24 rollouts, four of each of six problems, with random scores; as if version 1 had sampled them."""
    config = job(tiny_policy)
    return score(sample(rollout_worker(config), config))
