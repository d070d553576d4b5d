"""Tiny models that this room's tests share; none of the tests writes to them."""

from pathlib import Path

import pytest

from tests.tiny import make_tiny_policy, make_tiny_prm


@pytest.fixture(scope="session")
def tiny_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random tiny policy's folder."""
    return make_tiny_policy(tmp_path_factory.mktemp("tiny") / "policy")


@pytest.fixture(scope="session")
def trained_prm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token classifier that calls lines with an equals sign right."""
    return make_tiny_prm(tmp_path_factory.mktemp("tiny") / "prm", steps=45)


@pytest.fixture(scope="session")
def trls_prm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, judging the separator after a step as TRL's trainer teaches it."""
    return make_tiny_prm(tmp_path_factory.mktemp("tiny") / "trl", position="separator", steps=45)


@pytest.fixture(scope="session")
def shepherd_prm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Math-Shepherd-style model."""
    return make_tiny_prm(tmp_path_factory.mktemp("tiny") / "shepherd", style="math_shepherd")
