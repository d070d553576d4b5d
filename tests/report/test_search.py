"""A search's report: valid pictures of what it left, whatever failed in it."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from r1ray.config.jobs import TuneJobConfig
from r1ray.config.run import RunConfig
from r1ray.report import render_report
from r1ray.report.search import search_pictures
from r1ray.runs import Run
from tests.report.test_render import Page


def left(mode: str = "max", failed: int = 1) -> dict[str, Any]:
    """What a search of two parameters leaves."""
    rows = [
        {"number": i, "values": {"lr": 10.0**-i, "kind": "ab"[i % 2]}, "positions": [i / 4, i % 2], "seconds": 1.0,
         "result": None if i == failed else 0.1 * i, "objective": None if i == failed else 0.1 * i}
        for i in range(5)
    ]  # fmt: skip
    line = {"mean": [0.1, 0.2], "low": [0.0, 0.1], "high": [0.2, 5.0]}
    return {
        "job": "tiny", "objective": "held_out", "mode": mode, "rows": rows, "default": 0, "best": 4,
        "space": {"lr": "lr=log(1e-4, 1)", "kind": "kind=choice(a, b)"}, "importance": {"lr": 0.9, "kind": 0.0},
        "slices": {
            "lr": {"values": [1e-4, 1.0], "positions": [0.0, 1.0], "choice": False, "log": True, **line},
            "kind": {"values": ["a", "b"], "positions": [0, 1], "choice": True, "log": False, **line},
        },
    }  # fmt: skip


def test_pictures_are_valid_and_list_every_trial_best_first(tmp_path: Path) -> None:
    (tmp_path / "search.json").write_text(json.dumps(left()))
    found = search_pictures(tmp_path)
    assert found is not None
    for svg in (found.convergence.svg, found.parallel, found.importance, *(chart.svg for chart in found.slices)):
        ElementTree.fromstring(svg)
    assert [(number, best) for number, _, _, best in found.rows] == [
        (4, True), (3, False), (2, False), (0, False), (1, False)
    ]  # fmt: skip
    assert found.rows[-1][1] == "failed"
    assert found.parallel.count("<path") == 4  # the failed one has no line


def test_the_convergence_of_a_minimised_objective_falls(tmp_path: Path) -> None:
    (tmp_path / "search.json").write_text(json.dumps(left("min")))
    found = search_pictures(tmp_path)
    assert found is not None
    assert found.convergence.legend[0][2] == "-0.4"


def test_no_search_no_pictures(tmp_path: Path) -> None:
    assert search_pictures(tmp_path) is None


@pytest.mark.parametrize("finished", [True, False])
def test_the_page_shows_the_search_as_far_as_there_is_one(tmp_path: Path, finished: bool) -> None:
    run = Run.create("tune", TuneJobConfig(run=RunConfig(storage=str(tmp_path), name="t")))
    if finished:
        (run.folder / "search.json").write_text(json.dumps(left()))
    page = Page(render_report(run.folder).read_text())
    assert ("Parallel coordinates" in page.text) == finished
    assert ("The surrogate along each parameter" in page.text) == finished
