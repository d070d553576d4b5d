"""What every test shares: quiet single-threaded libraries and one local Ray for the tests that ask for it."""

import os
import secrets

# Before torch, which reads them when it is first imported. Workers that Ray starts inherit them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Or DeepSpeed says which one it chose, wherever it is first imported.
os.environ.setdefault("DS_ACCELERATOR", "cpu")
# Ray writes a token into the home directory unless it is given one.
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(16))

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import settings

# A deadline would be a timed assert, and fail on a busy machine; the same examples every time make a red test worth
# reading.
settings.register_profile("r1ray", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("r1ray")


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Tests that need a service run only where they are asked for: `make test-services`."""
    if "services" not in config.getoption("-m"):
        for item in items:
            if item.get_closest_marker("services"):
                item.add_marker(pytest.mark.skip(reason="needs `make test-services`"))


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One local Ray with four logical CPUs, whatever the machine has; ask for it in tests marked `ray`."""
    import ray  # only here: a run of the unit tests never loads Ray

    ray.init(
        address="local",  # whatever cluster the environment names
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=256 * 2**20,
    )
    yield
    ray.shutdown()
