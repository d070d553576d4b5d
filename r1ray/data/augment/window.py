"""`time_window`: a stretch of a sequence, as a row of its own; the one that follows it is what is to be predicted."""

from random import Random

from r1ray.data.augment.variant import Edit, Inapplicable, Row

WINDOW = 4
"""Values in a window."""
_FIELDS = ("series", "values")


def time_window(row: Row, stream: Random) -> Edit:
    """A window of `series` (numbers, or lists of them) at a random offset, `target` the value that follows it.

    Verified by reading both back from the parent's series.
    """
    name = next((name for name in _FIELDS if isinstance(row.get(name), list | tuple)), "")
    series = list(row[name]) if name else []
    if not name:
        raise Inapplicable("no series")
    if len(series) <= WINDOW:
        raise Inapplicable("the series is too short")
    start = stream.randrange(len(series) - WINDOW)
    window, target = series[start : start + WINDOW], series[start + WINDOW]
    return Edit(
        fields={name: window, "target": target, "window_start": start}, check="verified", reason="part of the series"
    )
