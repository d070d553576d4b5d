"""The console view: one plain line a step without a terminal, a panel with one, and honest figures in both."""

import io
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from r1ray.progress import BLOCKS, ConsoleView, duration, format_value, plain_line, sparkline

VALUES = {
    "reward/total": 0.512,
    "reward/correct": 0.25,
    "reward/outcome": 0.3,
    "reward/step": 0.2,
    "reward/count_timeouts": 3.0,
    "ppo/policy_kl": 0.0012,
    "throughput/rollout_tokens": 412.4,
    "time/generate": 12.2,
    "time/step": 30.6,
}


def view(terminal: bool, total: int = 4, done: int = 0) -> tuple[ConsoleView, io.StringIO, list[float]]:
    """A view on a string, and its clock: a list whose first item is the time."""
    out, now = io.StringIO(), [0.0]
    console = Console(file=out, force_terminal=terminal, width=120, color_system=None)
    return ConsoleView("ppo-1", total, done, console=console, clock=lambda: now[0]), out, now


def test_without_a_terminal_every_step_is_one_plain_line() -> None:
    shown, out, _ = view(terminal=False)
    with shown:
        shown.note("policy smollm2-135m")
        shown.phase("generate")
        shown.write(1, VALUES)
        shown.write(2, VALUES)
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0] == "policy smollm2-135m"
    for part in ("step 1/4", "reward 0.512", "correct 25.0%", "outcome 0.300", "rollout_tokens 412/s", "30.6 s"):
        assert part in lines[1]
    assert "\x1b" not in out.getvalue()


def test_a_terminal_shows_every_group_of_figures() -> None:
    shown, out, _ = view(terminal=True)
    with shown:
        shown.phase("evaluate")
        shown.write(1, VALUES)
    for part in ("ppo-1", "step 1 of 4", "outcome", "KL of update", "generate", "12.2 s", "412/s", "evaluate"):
        assert part in out.getvalue()


def test_what_checkers_counted_is_not_shown_as_a_reward() -> None:
    assert "count_timeouts" not in plain_line(1, 4, VALUES, math.nan)


def test_the_time_left_is_the_median_step_times_the_steps_to_go() -> None:
    shown, out, now = view(terminal=False, total=10)
    now[0] = 500.0  # loading and the cold start
    shown.started()
    for step, seconds in enumerate([10.0, 10.0, 70.0], start=1):
        now[0] += seconds
        shown.write(step, {"reward/total": 0.5})
    # steps of 10, 10 and 70 s: median 10 s, 7 steps to go
    assert out.getvalue().splitlines()[-1].endswith("1m10s left")


def test_a_resumed_run_counts_the_steps_behind_it() -> None:
    shown, out, _ = view(terminal=True, total=10, done=6)
    with shown:
        pass
    assert "step 6 of 10" in out.getvalue()


def test_not_a_number_is_shown_as_missing_and_breaks_nothing() -> None:
    shown, out, _ = view(terminal=True)
    with shown:
        shown.write(1, {"reward/total": math.nan})
        shown.write(2, {"reward/total": 1.0})
    assert "–" in out.getvalue()


@settings(deadline=None)
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60))
def test_a_sparkline_keeps_the_order_of_its_values(values: list[float]) -> None:
    bars = [BLOCKS.index(bar) for bar in sparkline(values, width=20)]
    shown = values[-20:]
    assert len(bars) == len(shown)
    assert all(bars[i] <= bars[j] for i in range(len(bars)) for j in range(len(bars)) if shown[i] <= shown[j])


def test_a_sparkline_spans_all_bars() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == BLOCKS
    assert sparkline([]) == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.42 s"), (12.34, "12.3 s"), (245, "4m05s"), (3720, "1h02m"), (math.nan, "–")]
)
def test_durations_read_naturally(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("reward/correct", 0.4567, "45.7%"),
        ("a/x", 0.0012, "0.0012"),
        ("a/x", 0.5, "0.500"),
        ("a/x", 123.456, "123.5"),
        ("a/x", 12345.6, "12,346"),
    ],
)
def test_figures_show_the_digits_that_tell_them_apart(key: str, value: float, text: str) -> None:
    assert format_value(key, value) == text
