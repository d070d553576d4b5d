"""Generations grow from seeds, every row's answer is right, and a killed run goes on where it stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from r1ray.config.synthesize import SynthesizeConfig
from r1ray.data.synthesize.evolve import select, synthesize
from r1ray.data.synthesize.teacher import Asked
from r1ray.errors import ConfigError, DataError
from tests.data.augment.rows import BAKER, generated_rows
from tests.data.synthesize.teachers import SolvingTeacher, value_of

CONFIG = SynthesizeConfig(
    generations=2, population=20, batch=7, mutations=("parameters", "inversion", "harder"), teacher="engine"
)
SEEDS = generated_rows("chain:2-3", count=20)


def test_every_grown_problem_has_the_right_answer_and_says_where_it_comes_from(tmp_path: Path) -> None:
    grown = synthesize(SEEDS, CONFIG, tmp_path, teacher=SolvingTeacher())
    parents = {str(row["id"]) for row in SEEDS}
    forward = [row for row in grown.rows if row["operator"] != "inversion" and "If the answer" not in row["question"]]
    assert len(forward) > 20
    for row in forward:
        assert int(row["answer"]) == value_of(row["question"])
    assert {row["operator"] for row in grown.rows} == {"parameters", "inversion", "harder"}
    for row in grown.rows:
        assert row["parent"] in parents
        parents.add(row["id"])
        assert (row["check"], row["teacher"]) == ("verified", "solver")
        assert "program" not in row and "<<" not in row["solution"]
    assert len({row["id"] for row in grown.rows}) == len(grown.rows)
    assert {row["generation"] for row in grown.rows} == {1, 2}


def test_the_report_balances_and_coverage_grows(tmp_path: Path) -> None:
    seeds = [*SEEDS, {"id": "none", "question": "Who?"}]
    report = synthesize(seeds, CONFIG, tmp_path, teacher=SolvingTeacher()).report
    assert report["seeds"] == {"used": len(SEEDS), "passed over": {"no worked solution": 1}}
    for figures in report["generations"]:
        assert figures["tried"] == figures["kept"] + sum(figures["rejected"].values())
        assert figures["kept"] == sum(figures["by_mutation"].values())
    assert report["coverage_with_synthesis"]["covered"] > report["coverage_of_seeds"]["covered"]
    assert report["coverage_with_synthesis"]["problems"] == len(SEEDS) + sum(f["kept"] for f in report["generations"])


def test_without_a_teacher_programs_answer(tmp_path: Path) -> None:
    config = SynthesizeConfig(generations=1, mutations=("parameters",), children=3)
    grown = synthesize([BAKER], config, tmp_path)
    assert {row["check_reason"] for row in grown.rows} == {"program"}
    assert len(grown.rows) >= 2 and all(row["solve_rate"] is None for row in grown.rows)


class _Breaks(SolvingTeacher):
    """Fails after some batches, as a server does that goes away."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._left = after

    def answer(self, asked: Sequence[Asked]) -> list[list[str]]:
        self._left -= 1
        if self._left < 0:
            raise ConnectionError
        return super().answer(asked)


def test_a_run_that_broke_off_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    whole = SolvingTeacher()
    expected = synthesize(SEEDS, CONFIG, tmp_path / "whole", teacher=whole)
    broken, rest = _Breaks(after=5), SolvingTeacher()
    with pytest.raises(ConnectionError):
        synthesize(SEEDS, CONFIG, tmp_path / "broken", teacher=broken)
    (partial,) = (tmp_path / "broken").glob("*.partial.jsonl")
    with partial.open("ab") as file:
        file.write(b'{"batch": 99, "rows": [{"torn')  # a line of which the disk got half
    again = synthesize(SEEDS, CONFIG, tmp_path / "broken", teacher=rest)
    assert again == expected
    finished = sum(len(path.read_text().splitlines()) - 1 for path in (tmp_path / "broken").glob("generation-*.jsonl"))
    assert finished == sum(-(-figures["tried"] // CONFIG.batch) for figures in expected.report["generations"])
    assert len(rest.asked) < len(whole.asked)
    names = [f"generation-{number:02d}.jsonl" for number in (1, 2)]
    for name in names:
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    third = SolvingTeacher()
    assert synthesize(SEEDS, CONFIG, tmp_path / "broken", teacher=third) == expected and not third.asked


def test_a_killed_process_leaves_a_folder_that_another_finishes(tmp_path: Path) -> None:
    program = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from tests.data.synthesize.test_evolve import CONFIG, SEEDS, SolvingTeacher, synthesize\n"
        "def kill(generation, done, of):\n"
        "    if (generation, done) == (2, 2): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"synthesize(SEEDS, CONFIG, Path({str(tmp_path / 'killed')!r}), teacher=SolvingTeacher(), progress=kill)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[3], env={**os.environ}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    expected = synthesize(SEEDS, CONFIG, tmp_path / "whole", teacher=SolvingTeacher())
    assert synthesize(SEEDS, CONFIG, tmp_path / "killed", teacher=SolvingTeacher()) == expected


class _Odd(SolvingTeacher):
    """Writes what splits lines and what UTF-8 cannot hold."""

    def answer(self, asked: Sequence[Asked]) -> list[list[str]]:
        return [[f"Well\u2028now \ud83d\n{text}" for text in samples] for samples in super().answer(asked)]


def test_odd_characters_of_a_teacher_survive_the_disk(tmp_path: Path) -> None:
    config = SynthesizeConfig(generations=1, mutations=("parameters",))
    first = synthesize(SEEDS, config, tmp_path, teacher=_Odd())
    assert any("\u2028" in row["solution"] for row in first.rows)
    assert synthesize(SEEDS, config, tmp_path, teacher=_Odd()) == first


def test_another_runs_folder_is_refused_and_more_generations_are_not(tmp_path: Path) -> None:
    config = SynthesizeConfig(generations=1, mutations=("parameters",))
    first = synthesize(SEEDS, config, tmp_path)
    with pytest.raises(DataError, match="other settings, seeds or teacher"):
        synthesize(SEEDS, SynthesizeConfig(generations=1, mutations=("parameters",), seed=1), tmp_path)
    with pytest.raises(DataError, match="other settings, seeds or teacher"):
        synthesize(SEEDS[1:], config, tmp_path)
    more = synthesize(SEEDS, SynthesizeConfig(generations=2, mutations=("parameters",)), tmp_path)
    assert more.rows[: len(first.rows)] == first.rows and len(more.rows) > len(first.rows)


def test_rare_patterns_go_on_first() -> None:
    rows = [{"id": str(n), "pattern": "common" if n else "rare"} for n in range(50)]
    chosen = select(rows, 4, seed=0, generation=1)
    assert [row["pattern"] for row in chosen].count("rare") == 1 and len(chosen) == 4
    assert chosen == select(rows, 4, seed=0, generation=1)
    assert len(select(rows, 100, seed=0, generation=1)) == 50


def test_seeds_without_solutions_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no worked solution"):
        synthesize([{"id": "1", "question": "Who?"}], CONFIG, tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generations": 1, "mutations": ("harder",)}, "which a teacher writes"),
        ({"generations": 1, "mutations": ("harder",), "teacher": "engine", "samples": 1}, "agrees with itself"),
        ({"teacher": "http://h/v1"}, r"synthesize\.model"),
        ({"teacher": "gpt"}, r"synthesize\.teacher"),
        ({"agreement": 0.5}, r"synthesize\.agreement"),
        ({"mutations": ("magic",)}, r"synthesize\.mutations"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SynthesizeConfig(**settings)  # type: ignore[arg-type]
