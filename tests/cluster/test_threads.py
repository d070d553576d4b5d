"""Threads are shared out among the workers of a phase on one node, and a container's quota counts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.cluster.threads import available_cores, phase_threads
from r1ray.config.resources import ResourcesConfig


@pytest.mark.parametrize(("cores", "workers", "threads"), [(2, 1, 2), (2, 2, 1), (16, 3, 5), (1, 4, 1), (8, 0, 8)])
def test_cores_are_divided_among_the_workers_of_the_phase(cores: int, workers: int, threads: int) -> None:
    assert phase_threads(ResourcesConfig(), workers, cores) == threads


@given(cores=st.integers(1, 256), workers=st.integers(1, 64))
def test_workers_never_take_more_threads_than_cores_unless_they_outnumber_them(cores: int, workers: int) -> None:
    assert workers * phase_threads(ResourcesConfig(), workers, cores) <= max(cores, workers)


def test_a_configured_number_goes_first() -> None:
    assert phase_threads(ResourcesConfig(threads=7), 2, 16) == 7


def test_a_quota_of_a_container_bounds_the_cores(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("100000 100000\n")
    assert available_cores(quota) == 1


@pytest.mark.parametrize("text", ["max 100000\n", "", "not a quota\n"])
def test_without_a_readable_quota_the_affinity_counts(tmp_path: Path, text: str) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    assert available_cores(quota) == available_cores(tmp_path / "missing")


def test_less_than_one_core_is_one(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("50000 100000\n")
    assert available_cores(quota) == 1
