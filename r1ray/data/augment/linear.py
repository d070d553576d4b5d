"""a·x + b with exact coefficients: what a program gives when one of its numbers is unknown."""

from dataclasses import dataclass
from fractions import Fraction

from r1ray.data.augment.variant import Inapplicable


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear form in one unknown. With slope 0 it is its constant, and equal to it."""

    slope: Fraction
    constant: Fraction

    def __add__(self, other: "Linear | Fraction") -> "Linear":
        other = _linear(other)
        return Linear(self.slope + other.slope, self.constant + other.constant)

    def __mul__(self, other: "Linear | Fraction") -> "Linear":
        other = _linear(other)
        if self.slope and other.slope:
            raise Inapplicable("the unknown is multiplied by itself")
        return Linear(
            self.slope * other.constant + other.slope * self.constant,
            self.constant * other.constant,
        )

    def __truediv__(self, other: "Linear | Fraction") -> "Linear":
        other = _linear(other)
        if other.slope:
            raise Inapplicable("a step divides by the unknown")
        return Linear(self.slope / other.constant, self.constant / other.constant)

    def __neg__(self) -> "Linear":
        return Linear(-self.slope, -self.constant)

    def __sub__(self, other: "Linear | Fraction") -> "Linear":
        return self + -_linear(other)

    def __radd__(self, other: Fraction) -> "Linear":
        return self + other

    def __rsub__(self, other: Fraction) -> "Linear":
        return -self + other

    def __rmul__(self, other: Fraction) -> "Linear":
        return self * other

    def __rtruediv__(self, other: Fraction) -> "Linear":
        return _linear(other) / self

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Linear):
            return self.slope == other.slope and self.constant == other.constant
        return not self.slope and self.constant == other

    def __hash__(self) -> int:
        return hash((self.slope, self.constant)) if self.slope else hash(self.constant)

    def at(self, x: Fraction) -> Fraction:
        """Its value for one x."""
        return self.slope * x + self.constant


def _linear(value: "Linear | Fraction") -> Linear:
    return value if isinstance(value, Linear) else Linear(Fraction(0), value)
