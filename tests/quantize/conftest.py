"""The tiny policy and a bench around it, once for the room."""

from pathlib import Path

import pytest

from r1ray.quantize.bench import Bench
from tests.quantize.tiny import tiny_quantize
from tests.tiny import make_tiny_policy


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_policy(tmp_path_factory.mktemp("quantize") / "policy")


@pytest.fixture
def bench(policy: Path, tmp_path: Path) -> Bench:
    return Bench(config=tiny_quantize(policy, tmp_path), folder=tmp_path / "artifacts")
