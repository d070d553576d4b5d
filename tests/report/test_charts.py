"""Charts put points where their values are, and are valid SVG whatever the values."""

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    SMOOTH_FROM,
    TOP,
    WIDTH,
    Series,
    format_tick,
    interval_chart,
    line_chart,
    moving_average,
    nice_ticks,
    stacked_chart,
)

values = st.lists(st.one_of(st.floats(-1e12, 1e12), st.just(math.nan), st.just(math.inf)), min_size=1, max_size=80)


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path)]


def test_a_curve_runs_from_corner_to_corner() -> None:
    svg = ElementTree.fromstring(line_chart([Series("x", [1, 3], [0.0, 1.0])]))
    (path,) = svg.findall("path")
    assert points(path.attrib["d"]) == [(LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, TOP)]


@settings(deadline=None)
@given(values)
def test_any_curve_is_valid_svg_within_its_frame(ys: list[float]) -> None:
    drawn = line_chart([Series("a < b & c", list(range(len(ys))), ys)])
    if not any(math.isfinite(y) for y in ys):
        assert drawn == ""
        return
    svg = ElementTree.fromstring(drawn)
    for path in svg.findall("path"):
        for x, y in points(path.attrib["d"]):
            assert LEFT - 0.1 <= x <= WIDTH - RIGHT + 0.1
            assert TOP - 0.1 <= y <= HEIGHT - BOTTOM + 0.1


def test_not_a_number_breaks_the_curve() -> None:
    svg = ElementTree.fromstring(line_chart([Series("x", [1, 2, 3, 4, 5], [1, 2, math.nan, 4, 5])]))
    assert svg.findall("path")[0].attrib["d"].count("M") == 2


def test_a_long_curve_is_drawn_faint_under_its_average() -> None:
    long = Series("x", list(range(SMOOTH_FROM)), [i % 2 for i in range(SMOOTH_FROM)])
    classes = [path.attrib["class"] for path in ElementTree.fromstring(line_chart([long])).findall("path")]
    assert classes == ["line faint s0", "line s0"]


def test_stacked_areas_lie_on_each_other() -> None:
    svg = ElementTree.fromstring(stacked_chart([Series("a", [1, 2], [1, 1]), Series("b", [1, 2], [3, 3])]))
    first, second = (points(path.attrib["d"]) for path in svg.findall("path"))
    height = HEIGHT - TOP - BOTTOM
    assert first[0][1] == pytest.approx(HEIGHT - BOTTOM - height / 4, abs=0.1)  # 1 of 4
    assert second[0][1] == pytest.approx(TOP, abs=0.1)  # 1 + 3 of 4
    assert second[-1][1] == first[0][1]  # the second begins where the first ends


def test_one_step_of_a_stack_is_a_bar() -> None:
    svg = ElementTree.fromstring(stacked_chart([Series("a", [1], [2.0])]))
    assert len(points(svg.findall("path")[0].attrib["d"])) == 4


def test_nothing_to_draw_is_no_chart() -> None:
    assert line_chart([]) == line_chart([Series("x", [1], [math.nan])]) == stacked_chart([]) == interval_chart([]) == ""


def test_intervals_are_drawn_around_their_values() -> None:
    svg = ElementTree.fromstring(interval_chart([("base", 0.2, 0.1, 0.3), ("after", 0.5, 0.4, 0.6)]))
    whiskers = [line for line in svg.findall("line") if "whisker" in line.attrib["class"]]
    dots = [float(dot.attrib["cx"]) for dot in svg.findall("circle")]
    for whisker, dot in zip(whiskers, dots, strict=True):
        assert (float(whisker.attrib["x1"]) + float(whisker.attrib["x2"])) / 2 == pytest.approx(dot, abs=0.1)
    assert dots[0] < dots[1]


@settings(deadline=None)
@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_ticks_are_round_enclose_the_data_and_are_few(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    ticks = nice_ticks(low, high)
    slack = 1e-6 * max(1.0, abs(low), abs(high), high - low)
    assert ticks[0] <= low + slack and ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 8
    assert ticks == sorted(set(ticks))


def test_ticks_step_by_one_two_or_five() -> None:
    assert nice_ticks(0.0, 1.0) == [0.0, 0.5, 1.0]
    assert nice_ticks(0.03, 0.37) == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert nice_ticks(10, 10) == [9.0, 9.5, 10.0, 10.5, 11.0]  # a flat curve runs through the middle


def test_a_moving_average_is_a_mean_of_neighbours_and_leaves_gaps_out() -> None:
    assert moving_average([1, 2, 6, math.nan], 3) == [1.5, 3.0, 4.0, 6.0]


@pytest.mark.parametrize(
    ("value", "percent", "text"),
    [(0.3, False, "0.3"), (15000, False, "15k"), (2e-5, False, "2e-05"), (0.4, True, "40%"), (2.5e6, False, "2.5M")],
)
def test_ticks_are_written_short(value: float, percent: bool, text: str) -> None:
    assert format_tick(value, percent) == text
