"""A learner group on a real local Ray: who gets what, what a lost rank means, and what an error looks like outside."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from r1ray.config.resources import ResourcesConfig
from r1ray.errors import DataError, WorkerError
from r1ray.train.trainer import WorkerContext, fit, own_error


def share_out(payload: Mapping[str, Any], context: WorkerContext) -> None:
    """Deal parts out to both ranks. The first time, rank 1's process is killed when it has its own; the second time
    rank 0 raises an error when all is done."""
    folder = Path(payload["folder"])
    first_time = not (folder / "died").exists()
    context.meet()
    part = context.scatter(["a" * 10, {"b": list(range(10_000))}] if context.rank == 0 else None)
    if context.rank == 1 and first_time:
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    context.meet()
    context.report({"rank": context.rank})
    (folder / f"rank-{context.rank}").write_text(f"{context.world_size} {os.environ['OMP_NUM_THREADS']} {part}")
    context.meet()
    if context.rank == 0:
        raise DataError("row 7 is empty")


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_group_that_loses_a_rank_starts_again_and_what_it_raises_then_comes_out_as_it_was(tmp_path: Path) -> None:
    two = ResourcesConfig(learners=2, learner_cpus=0.25, threads=1, max_failures=1)
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    with pytest.raises(DataError, match=r"^row 7 is empty$"):
        fit(share_out, {"folder": str(tmp_path)}, two, storage=str(tmp_path / "ray_train"), name="share")
    assert (tmp_path / "died").exists()
    assert (tmp_path / "rank-0").read_text() == "2 1 " + "a" * 10
    assert (tmp_path / "rank-1").read_text() == f"2 1 {{'b': {list(range(10_000))}}}"
    assert signal.getsignal(signal.SIGINT) is on_ctrl_c


def test_an_error_of_r1ray_is_found_under_its_wrappings() -> None:
    class Wrapped(Exception):
        cause = DataError("row 7 is empty")

    chained = RuntimeError("while training")
    chained.__cause__ = DataError("row 8 is empty")
    assert own_error({0: RuntimeError("lost its peer"), 1: Wrapped()}) is Wrapped.cause
    assert own_error({0: chained}) is chained.__cause__


def test_any_other_error_is_shown_with_its_rank() -> None:
    error = own_error({0: RuntimeError("lost its peer"), 1: ZeroDivisionError("by row 7")})
    assert type(error) is WorkerError
    assert "rank 0: lost its peer" in str(error) and "rank 1: by row 7" in str(error)
