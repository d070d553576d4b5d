"""Tiny models, made once for every job."""

from pathlib import Path

import pytest

from tests.tiny import make_tiny_policy, make_tiny_prm


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random tiny policy's folder."""
    return make_tiny_policy(tmp_path_factory.mktemp("job-models") / "policy")


@pytest.fixture(scope="session")
def reward_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny process reward model that likes lines with an equals sign."""
    return make_tiny_prm(tmp_path_factory.mktemp("job-models") / "prm", steps=45)
