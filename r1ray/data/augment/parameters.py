"""`parameters`: other numbers in a problem, between half and twice the old ones, and the solution executed again."""

from fractions import Fraction
from math import ceil
from random import Random

from r1ray.data.augment.numbers import Number
from r1ray.data.augment.substitute import vary
from r1ray.data.augment.variant import Edit, Row

SMALLEST = 2
"""1 makes steps that can be skipped, and `1 eggs`."""


def parameters(row: Row, stream: Random) -> Edit:
    """A problem with other numbers and the right answer to them."""
    return vary(row, stream, _draw)


def _draw(number: Number, stream: Random) -> Fraction:
    unit = Fraction(1, 10**number.places)
    low, high = ceil(number.value / 2 / unit), int(2 * number.value / unit)
    drawn = stream.randint(low, high) * unit
    return max(drawn, Fraction(SMALLEST)) if number.value >= SMALLEST else drawn
