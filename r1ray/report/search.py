"""A search as pictures: convergence, parallel coordinates, importance, and slices of the surrogate."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from r1ray.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Series,
    _dot,
    _points,
    _rule,
    _svg,
    _text,
    format_tick,
    line_chart,
    nice_ticks,
)
from r1ray.report.curves import Chart

FILE = "search.json"
"""What the search left."""
BAR = 26
"""Height of a bar with its gap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchPictures:
    """What the page of a search shows."""

    convergence: Chart
    parallel: Markup
    importance: Markup
    slices: list[Chart]
    rows: list[tuple[int, str, list[str], bool]]
    """(number, objective, values, whether it is the best), best first and failures last."""
    names: list[str]


def search_pictures(folder: Path) -> SearchPictures | None:
    """The pictures of the search in a run folder; None where there is none."""
    path = folder / FILE
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    names, rows = list(found["space"]), found["rows"]
    sign = 1 if found["mode"] == "max" else -1
    order = sorted(rows, key=lambda row: -math.inf if row["result"] is None else row["result"], reverse=True)
    return SearchPictures(
        convergence=_convergence(rows, sign),
        parallel=_parallel(rows, names, found["best"], sign),
        importance=_importance(found["importance"]),
        slices=[_slice(name, found["slices"][name], rows, i, sign) for i, name in enumerate(found["slices"])],
        rows=[
            (row["number"], _say(row), [_short(row["values"][name]) for name in names], row["number"] == found["best"])
            for row in order
        ],
        names=names,
    )


def _convergence(rows: Sequence[Mapping[str, Any]], sign: int) -> Chart:
    best, reached = -math.inf, []
    each = [math.nan if row["result"] is None else sign * row["result"] for row in rows]
    for row in rows:
        best = best if row["result"] is None else max(best, row["result"])
        reached.append(sign * best)
    x = [float(i) for i in range(1, len(rows) + 1)]
    series = [Series("best so far", x, reached), Series("each trial", x, each)]
    legend = [(f"s{i}", one.name, format_tick(float(f"{one.last:.4g}"))) for i, one in enumerate(series)]
    return Chart(title="Objective by trial", svg=line_chart(series), legend=legend)


def _parallel(rows: Sequence[Mapping[str, Any]], names: Sequence[str], best: int, sign: int) -> Markup:
    """Each trial a line across one axis a parameter and the objective; the better, the darker; the best in colour."""
    good = sorted((row for row in rows if row["result"] is not None), key=lambda row: float(row["result"]))
    if not good:
        return Markup("")
    width, height, left, right, top, bottom = 2 * WIDTH, 300, 40, 60, 26, 40
    low, high = good[0]["result"], good[-1]["result"]
    axes = [*names, "objective"]

    def x(axis: int) -> float:
        return left + axis / (len(axes) - 1) * (width - left - right)

    def y(share: float) -> float:
        return height - bottom - share * (height - top - bottom)

    drawn = Markup("")
    for rank, row in enumerate(good):
        worth = (row["result"] - low) / (high - low) if high > low else 1.0
        points = [(x(i), y(share)) for i, share in enumerate([*row["positions"], worth])]
        drawn += Markup(
            '<path class="line {}" style="opacity:{:.2f}" d="M{}"><title>trial {}: {:.4g}</title></path>'
        ).format(
            "s1" if row["number"] == best else "s0",
            1.0 if row["number"] == best else 0.08 + 0.5 * rank / len(good),
            _points(points),
            row["number"],
            sign * row["result"],
        )
    for i, name in enumerate(axes):
        drawn += _rule("grid", x(i), top, x(i), height - bottom)
        drawn += _text("tick", x(i), height - bottom + 30, name, "middle")
        marks = [(0.0, sign * low), (1.0, sign * high)]
        if name != "objective":
            placed = sorted((row["positions"][i], row["values"][name]) for row in good)
            marks = [placed[0], placed[-1]]
        drawn += _text("tick", x(i), y(marks[0][0]) + 14, _short(marks[0][1]), "middle")
        drawn += _text("tick", x(i), y(marks[1][0]) - 8, _short(marks[1][1]), "middle")
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="parallel coordinates">{}</svg>').format(
        width, height, drawn
    )


def _importance(shares: Mapping[str, float]) -> Markup:
    """A bar for each parameter: the share of the surrogate's variance that it explains alone."""
    if not shares:
        return Markup("")
    left, right, drawn = 150, 50, Markup("")
    for i, (name, share) in enumerate(sorted(shares.items(), key=lambda item: -item[1])):
        top, length = BAR * i + 6, share * (WIDTH - left - right)
        drawn += _text("label", left - 10, top + 13, name, "end")
        drawn += Markup('<rect class="bar s0" x="{}" y="{}" width="{:.1f}" height="{}" rx="3"/>').format(
            left, top, max(1.0, length), BAR - 9
        )
        drawn += _text("value", left + length + 8, top + 13, f"{share:.0%}", "start")
    return _svg(drawn, label="importance of each parameter", height=BAR * len(shares) + 8)


def _slice(name: str, found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], axis: int, sign: int) -> Chart:
    """The surrogate along one parameter, others as in the best trial, in its 95 % band; dots are the trials."""
    count = len(found["values"])
    places = [position / (count - 1) for position in found["positions"]] if found["choice"] else found["positions"]
    done = [(row["positions"][axis], sign * row["result"]) for row in rows if row["result"] is not None]
    everything = [*found["low"], *found["high"], *(value for _, value in done)]
    # A band that reaches beyond all that was seen says no more than that, and would flatten the rest.
    seen = [value for _, value in done]
    span = (max(seen) - min(seen)) or 1.0
    floor, ceiling = max(min(everything), min(seen) - span / 2), min(max(everything), max(seen) + span / 2)
    ticks = nice_ticks(floor, ceiling)

    def x(share: float) -> float:
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        inside = min(max(value, ticks[0]), ticks[-1])
        return HEIGHT - BOTTOM - (inside - ticks[0]) / (ticks[-1] - ticks[0]) * (HEIGHT - TOP - BOTTOM)

    drawn = Markup("")
    for tick in ticks:
        drawn += _rule("grid", LEFT, y(tick), WIDTH - RIGHT, y(tick))
        drawn += _text("tick", LEFT - 6, y(tick) + 3.5, format_tick(tick), "end")
    upper = [(x(p), y(v)) for p, v in zip(places, found["high"], strict=True)]
    lower = [(x(p), y(v)) for p, v in zip(places, found["low"], strict=True)]
    drawn += Markup('<path class="band s0" d="M{}Z"/>').format(_points([*upper, *reversed(lower)]))
    middle = [(x(p), y(v)) for p, v in zip(places, found["mean"], strict=True)]
    drawn += Markup('<path class="line s0" d="M{}"/>').format(_points(middle))
    for place, value in done:
        drawn += _dot("s1", x(place), y(value), 2.4, f"{value:.4g}")
    marks = range(count) if found["choice"] else (0, count // 2, count - 1)
    for i, anchor in zip(marks, ["start", *["middle"] * (len(marks) - 2), "end"], strict=True):
        drawn += _text("tick", x(places[i]), HEIGHT - 6, _short(found["values"][i]), anchor)
    return Chart(
        title=f"{name}" + (" (log scale)" if found["log"] else ""),
        svg=_svg(drawn, label=f"objective along {name}"),
        legend=[("s0", "surrogate, 95 % band", ""), ("s1", "trials", "")],
    )


def _is_choice(found: Mapping[str, Any]) -> bool:
    return bool(found["choice"])


def _say(row: Mapping[str, Any]) -> str:
    if row["result"] is None:
        return "failed"
    low, high, value = row.get("low"), row.get("high"), row["objective"]
    return f"{value:.4f}" + (f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else "")


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
