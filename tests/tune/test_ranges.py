"""Single ranges: every value has a place in the cube, and every place a value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.tune.ranges import Number, Range, choice, integer, log, quantised, uniform
from r1ray.tune.space import SearchSpace

RANGES = st.sampled_from(
    [
        uniform(-2, 5),
        log(1e-6, 1e-1),
        integer(1, 12),
        integer(16, 250, 16),
        quantised(0.1, 0.5, 0.1),
        Number(1, 1024, log=True, step=1, whole=True),
        choice("adam", "sgd", "1", True, 1, 0.5),
    ]
)


@given(span=RANGES, unit=st.floats(0, 1))
def test_every_point_of_the_cube_is_an_allowed_value_that_survives_the_way_back(span: Range, unit: float) -> None:
    value = span.decode(np.full(span.width, unit))
    assert span.contains(value)
    again = span.decode(span.encode(value))
    assert type(again) is type(value)
    assert again == pytest.approx(value, rel=1e-9) if isinstance(value, float) else again == value


@given(span=RANGES, units=st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_snapping_changes_no_value_and_snapping_twice_changes_nothing(span: Range, units: list[float]) -> None:
    point = np.array([units[: span.width]])
    snapped = span.snap(point)
    assert span.decode(snapped[0]) == span.decode(point[0])
    np.testing.assert_allclose(span.snap(snapped), snapped, atol=1e-12)


@given(span=RANGES)
def test_what_a_range_says_of_itself_is_read_back_as_the_same_range(span: Range) -> None:
    assert SearchSpace.parse([f"a.b={span}"]).ranges == {"a.b": span}


def test_every_integer_has_the_same_share_of_a_linear_range() -> None:
    values = [integer(1, 4).decode(np.array([(i + 0.5) / 400])) for i in range(400)]
    assert [values.count(k) for k in (1, 2, 3, 4)] == [100, 100, 100, 100]


def test_a_logarithmic_range_gives_each_decade_the_same_share() -> None:
    span = log(1e-6, 1e-2)  # four decades: a quarter of the way is one decade up
    assert [span.decode(np.array([k / 4])) for k in range(5)] == pytest.approx([1e-6, 1e-5, 1e-4, 1e-3, 1e-2])


def test_steps_are_counted_from_the_lower_end_and_stop_below_the_upper_one() -> None:
    span = quantised(0.1, 0.45, 0.1)  # 0.1, 0.2, 0.3, 0.4: the next would be 0.5
    assert span.levels == 4
    assert span.extremes == (0.1, 0.4)
    assert span.decode(np.array([0.7])) == 0.3  # 0.7 lies in the third of four quarters
