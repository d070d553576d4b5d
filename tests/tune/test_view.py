"""The table of a search: its incumbent, its failures, and a log without a terminal."""

import io
from typing import Any

from rich.console import Console

from r1ray.tune.view import SearchView
from tests.tune.tiny import result


def shown(terminal: bool, rows: list[dict[str, Any]]) -> tuple[str, SearchView]:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    view = SearchView("tune", 5, ["x", "y"], "max", console)
    with view:
        view.started(0, {"x": 0.0, "y": 0.0})
        for row in rows:
            view.finished(row)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue(), view


def test_without_a_terminal_every_trial_is_a_line_and_the_best_is_marked() -> None:
    text, view = shown(False, [result(0, 0.2), result(1, 0.5, low=0.4, high=0.6), result(2, None), result(3, 0.1)])
    lines = text.splitlines()
    assert [("★" in line, "failed" in line) for line in lines] == [
        (True, False),
        (True, False),
        (False, True),
        (False,) * 2,
    ]
    assert "trial 2/5  0.5000 (0.400 to 0.600)" in lines[1]
    assert view.incumbent is not None and view.incumbent["number"] == 1


def test_in_a_terminal_the_incumbent_stands_under_the_table() -> None:
    text, _ = shown(True, [result(0, 0.2), result(1, 0.5)])
    assert "trial 2 of 5" in text
    assert "★ 0.5000" in text


def test_of_equal_trials_the_earlier_is_the_incumbent() -> None:
    _, view = shown(False, [result(0, 0.5), result(1, 0.5)])
    assert view.incumbent is not None and view.incumbent["number"] == 0
