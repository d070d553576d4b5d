"""The little language that names what is generated: `story:2-3/plain`, `chain:3-4`, `reasoning-gym/leg_counting`."""

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from r1ray.errors import DataError

Wording = Literal["plain", "varied", "all"]
"""Which words a problem is told in. `plain` and `varied` share no sentence; `all`, the default, mixes them."""

REASONING_GYM = "reasoning-gym"
DEFAULT_LEVELS = (1, 3)
"""Steps of a family that is named without any."""
_SPEC = re.compile(r"(?P<name>[a-z_]+)(?::(?P<low>\d+)(?:-(?P<high>\d+))?)?(?:/(?P<wording>\w+))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilySpec:
    """One kind of problem, its numbers of steps, and its wording."""

    name: str
    """An own family's name; for reasoning-gym the task's."""
    low: int = 0
    high: int = 0
    """Fewest and most steps; 0 = the family has no levels (reasoning-gym)."""
    wording: Wording = "all"
    gym: bool = False
    """Whether `name` is a task of reasoning-gym."""


def parse_spec(text: str) -> FamilySpec:
    """Read `name`, `name:steps` or `name:low-high`, with an optional wording behind it, or `reasoning-gym/<task>`.

    Raises:
        DataError: the text is none of these.
    """
    prefix, _, task = text.partition("/")
    if prefix == REASONING_GYM and task:
        return FamilySpec(name=task, gym=True)
    match = _SPEC.fullmatch(text)
    if match is None:
        raise DataError(
            f"problems family {text!r} is not understood; expected `name:low-high` with the number of steps "
            f"(`chain:3-4`), optionally with a wording (`story:2-3/plain`), or `{REASONING_GYM}/<task>`."
        )
    low = int(match["low"] or DEFAULT_LEVELS[0])
    high = int(match["high"] or match["low"] or DEFAULT_LEVELS[1])
    wording = match["wording"] or "all"
    if not 1 <= low <= high:
        raise DataError(
            f"problems family {text!r} asks for {low} to {high} steps; expected at least 1, the smaller number first."
        )
    if wording not in get_args(Wording):
        raise DataError(
            f"problems family {text!r} asks for the wording {wording!r}; expected one of "
            f"{', '.join(get_args(Wording))}."
        )
    return FamilySpec(name=match["name"], low=low, high=high, wording=cast(Wording, wording))
