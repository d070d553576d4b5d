"""A search on disk: wherever its driver is killed, it goes on with the suggestions of one that was never killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import r1ray
from r1ray.config.jobs import TinyJobConfig, TuneJobConfig
from r1ray.config.run import RunConfig
from r1ray.config.tune import SearcherConfig, TuneConfig
from r1ray.errors import CheckpointError, ConfigError
from r1ray.tune.journal import JOURNAL, Journal, first_points, open_journal
from r1ray.tune.proposals import Proposals
from r1ray.tune.space import SearchSpace
from tests.tune.functions import BOWL, bowl

ROOT = Path(r1ray.__file__).parent.parent
RULE = SearcherConfig(initial_points=3)


def journal(path: Path, seed: int = 0) -> Journal:
    return Journal(path, Proposals(BOWL, RULE, seed=seed))


def go(one: Journal, trials: int) -> list[dict[str, Any]]:
    """Sequential trials until there are so many answers."""
    asked = []
    while len(one.results) < trials:
        number, values = one.ask()
        asked.append(values)
        one.tell(number, bowl(values), {"seconds": 1.0})
    return asked


@pytest.mark.parametrize("stop", [0, 1, 4, 6])
def test_a_reopened_journal_goes_on_with_the_same_suggestions(tmp_path: Path, stop: int) -> None:
    whole = go(journal(tmp_path / "whole"), 8)
    first = go(journal(tmp_path / "parts"), stop)
    again = journal(tmp_path / "parts")
    assert [row["values"] for row in again.results] == first
    assert first + go(again, 8) == whole


def test_points_that_were_out_are_handed_out_again_in_their_order_before_new_ones(tmp_path: Path) -> None:
    one = journal(tmp_path / "j")
    go(one, 4)
    out = [one.ask() for _ in range(3)]
    again = journal(tmp_path / "j")
    assert [again.ask() for _ in range(3)] == out
    for number, values in reversed(out):
        one.tell(number, bowl(values), {})
        again.tell(number, bowl(values), {})
    assert again.ask() == one.ask()


def test_a_driver_killed_with_sigkill_anywhere_goes_on_as_if_it_never_was(tmp_path: Path) -> None:
    whole = go(journal(tmp_path / "whole"), 10)
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.tune.test_journal import bowl, journal\n"
        "one = journal(Path(sys.argv[1]))\n"
        "for _ in range(int(sys.argv[2])):\n"
        "    number, values = one.ask()\n"
        "    one.tell(number, bowl(values), {})\n"
        "one.ask()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "killed"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), "6"], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == -signal.SIGKILL
    again = journal(path)
    assert len(again.results) == 6
    assert [row["values"] for row in again.results] + go(again, 10) == whole


def test_half_a_line_is_cut_off_and_anything_else_that_is_damaged_is_refused(tmp_path: Path) -> None:
    whole = go(journal(tmp_path / "whole"), 6)
    path = tmp_path / "torn"
    go(journal(path), 4)
    with path.open("a") as file:
        file.write('{"event": "ask", "num')
    assert go(journal(path), 6) == whole[4:]
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1][:9], *lines[2:]]) + "\n")
    with pytest.raises(CheckpointError, match="Line 2"):
        journal(path)


def test_the_journal_of_another_search_is_refused(tmp_path: Path) -> None:
    journal(tmp_path / "j", seed=1)
    with pytest.raises(CheckpointError, match="another search"):
        journal(tmp_path / "j", seed=2)


def test_failures_are_kept_and_stay_failures(tmp_path: Path) -> None:
    one = journal(tmp_path / "j")
    number, _ = one.ask()
    one.tell(number, None, {"seconds": 2.0})
    again = journal(tmp_path / "j")
    assert (again.proposals.failures, again.results[0]["result"], again.results[0]["seconds"]) == (1, None, 2.0)


def settings(**tune: Any) -> TuneJobConfig:
    return TuneJobConfig(run=RunConfig(seed=3), tune=TuneConfig(space=("optim.lr=log(1e-4, 1e-1)",), **tune))


def test_a_search_begins_with_the_shipped_default_where_the_space_holds_it() -> None:
    base = TinyJobConfig()
    inside = SearchSpace.parse(["optim.lr=log(1e-4, 1e-1)"])
    assert first_points(TuneConfig(), inside, base) == [{"optim.lr": base.optim.lr}]
    assert first_points(TuneConfig(default_first=False), inside, base) == []
    assert first_points(TuneConfig(), SearchSpace.parse(["optim.lr=log(1e-2, 1e-1)"]), base) == []


def test_earlier_results_of_the_same_space_count_and_are_written_down(tmp_path: Path) -> None:
    space = SearchSpace.parse(settings().tune.space)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first = open_journal(settings(), tmp_path / "first", space, TinyJobConfig())
    for value in (0.1, 0.5, None):
        first.tell(first.ask()[0], value, {})
    warm = settings(warm_start=(str(tmp_path / "first"),))
    second = open_journal(warm, tmp_path / "second", space, TinyJobConfig())
    assert [o.result for o in second.proposals.observations] == [0.1, 0.5, None]
    (tmp_path / "first" / JOURNAL).unlink()  # no longer needed
    again = open_journal(warm, tmp_path / "second", space, TinyJobConfig())
    assert again.ask() == second.ask()
    lines = (tmp_path / "second" / JOURNAL).read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines].count("inherit") == 3


def test_a_warm_start_from_nowhere_or_from_another_space_is_refused(tmp_path: Path) -> None:
    space = SearchSpace.parse(settings().tune.space)
    (tmp_path / "other").mkdir()
    journal(tmp_path / "other" / JOURNAL)
    with pytest.raises(ConfigError, match=r"nowhere.*folder of a search"):
        open_journal(settings(warm_start=("nowhere",)), tmp_path, space, TinyJobConfig())
    (tmp_path / JOURNAL).unlink()
    with pytest.raises(CheckpointError, match="another search"):
        open_journal(settings(warm_start=(str(tmp_path / "other"),)), tmp_path, space, TinyJobConfig())
