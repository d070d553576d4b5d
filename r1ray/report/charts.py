"""Charts as inline SVG: pure functions from numbers to markup. Colours come from the page's style sheet (`.s0` ...
`.s7`)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 460, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 22
PALETTE = 8
"""How many series colours the style sheet has."""
SMOOTH_FROM = 40
"""With at least this many points the curve is drawn faint, with its moving average over it."""


@dataclass(frozen=True, slots=True)
class Series:
    """A curve: points in order of x. Not-a-number breaks it."""

    name: str
    x: Sequence[float]
    y: Sequence[float]

    @property
    def last(self) -> float:
        """Its newest finite value; NaN if it has none."""
        return next((value for value in reversed(self.y) if math.isfinite(value)), math.nan)


@dataclass(frozen=True, slots=True)
class Frame:
    """Where data lies on the drawing."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        return LEFT + (value - self.x_low) / ((self.x_high - self.x_low) or 1) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.y_low) / ((self.y_high - self.y_low) or 1) * (HEIGHT - TOP - BOTTOM)


def line_chart(series: Sequence[Series], *, percent: bool = False) -> Markup:
    """Curves over a common x; empty markup if there is not one finite point."""
    finite = [value for one in series for value in one.y if math.isfinite(value)]
    if not finite:
        return Markup("")
    ticks = nice_ticks(min(finite), max(finite))
    frame = _frame(series, ticks)
    drawn = [_curve(one, f"s{i % PALETTE}", frame, percent) for i, one in enumerate(series)]
    return _svg(_axes(frame, ticks, percent) + Markup("").join(drawn), label=", ".join(one.name for one in series))


def stacked_chart(series: Sequence[Series]) -> Markup:
    """Areas on top of each other, for parts of a whole; all series have the same x, and a gap counts as zero."""
    if not series or not series[0].x:
        return Markup("")
    layers = [[value if math.isfinite(value) else 0.0 for value in one.y] for one in series]
    tops = [[sum(column[: i + 1]) for column in zip(*layers, strict=True)] for i in range(len(layers))]
    ticks = nice_ticks(0.0, max(tops[-1]))
    frame = _frame(series, ticks)
    areas = Markup("")
    below = [0.0] * len(series[0].x)
    for i, (one, top) in enumerate(zip(series, tops, strict=True)):
        upper = [(frame.x(x), frame.y(y)) for x, y in zip(one.x, top, strict=True)]
        lower = [(frame.x(x), frame.y(y)) for x, y in zip(one.x, below, strict=True)]
        if len(upper) == 1:  # one step: a bar, since an area needs two
            upper, lower = (
                [(LEFT, upper[0][1]), (WIDTH - RIGHT, upper[0][1])],
                [(LEFT, lower[0][1]), (WIDTH - RIGHT, lower[0][1])],
            )
        areas += Markup('<path class="area s{}" d="M{}Z"><title>{}</title></path>').format(
            i % PALETTE, _points([*upper, *reversed(lower)]), one.name
        )
        below = top
    return _svg(areas + _axes(frame, ticks, percent=False), label=", ".join(one.name for one in series))


def interval_chart(rows: Sequence[tuple[str, float, float, float]]) -> Markup:
    """Proportions with their intervals, one line each: (label, value, low, high)."""
    if not rows:
        return Markup("")
    height, left, right = 34, 118, 56
    high = min(1.0, nice_ticks(0.0, max(row[3] for row in rows))[-1])

    def x(value: float) -> float:
        return left + value / high * (WIDTH - left - right)

    bottom = height * len(rows) + 6
    drawn = Markup("")
    for tick in nice_ticks(0.0, high):
        if tick <= high + 1e-9:
            drawn += _rule("grid", x(tick), 4, x(tick), bottom)
            drawn += _text("tick", x(tick), bottom + 14, f"{tick:.0%}", "middle")
    for i, (label, value, low, top) in enumerate(rows):
        y, colour, end = height * i + height / 2 + 4, f"s{i % PALETTE}", x(min(top, high))
        drawn += _text("label", left - 12, y + 4.5, label, "end")
        drawn += _rule(f"whisker {colour}", x(low), y, end, y)
        drawn += _dot(colour, x(value), y, 6, f"{low:.1%} to {top:.1%}")
        drawn += _text("value", end + 8, y + 4.5, f"{value:.1%}", "start")
    return _svg(drawn, label="accuracy with 95 % intervals", height=bottom + 20)


def reliability_chart(bins: Sequence[tuple[float, float, int]]) -> Markup:
    """What was stated against what came true: (mean probability, share that came true, count) of each bin that is not
    empty. Dots as large as their bin's share, and the diagonal on which a calibrated model lies."""
    if not bins:
        return Markup("")
    total = sum(count for _, _, count in bins)
    frame = Frame(0.0, 1.0, 0.0, 1.0)
    ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
    drawn = _rule("grid", frame.x(0), frame.y(0), frame.x(1), frame.y(1))
    for tick in ticks:
        drawn += _rule("grid", LEFT, frame.y(tick), WIDTH - RIGHT, frame.y(tick))
        drawn += _text("tick", LEFT - 6, frame.y(tick) + 3.5, format_tick(tick, percent=True), "end")
        drawn += _text("tick", frame.x(tick), HEIGHT - 6, format_tick(tick, percent=True), "middle")
    points = [(frame.x(stated), frame.y(true)) for stated, true, _ in bins]
    drawn += Markup('<path class="line s0" d="M{}"/>').format(_points(points))
    for (stated, true, count), (x, y) in zip(bins, points, strict=True):
        size = 2.5 + 8 * math.sqrt(count / total)
        drawn += _dot("s0", x, y, size, f"stated {stated:.1%}, true {true:.1%}, {count} times")
    return _svg(drawn, label="reliability: stated probability against what came true")


def nice_ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers that enclose [low, high], about `wanted` steps apart by 1, 2 or 5 times a power of ten."""
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-250):
        # A flat curve, up to rounding: around its value, or up from zero.
        pad = abs(low) * 0.1 or 1.0
        low, high = (low - pad, high + pad) if low else (0.0, 1.0)
    rough = (high - low) / wanted
    exponent = math.floor(math.log10(rough))
    power = 10.0**exponent
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, max(0, 1 - exponent)) for i in range(first, last + 1)]


def moving_average(values: Sequence[float], window: int) -> list[float]:
    """Centred mean over `window` points, fewer at the ends; points that are not finite are left out."""
    half = window // 2
    averages = []
    for i in range(len(values)):
        near = [value for value in values[max(0, i - half) : i + half + 1] if math.isfinite(value)]
        averages.append(sum(near) / len(near) if near else math.nan)
    return averages


def format_tick(value: float, percent: bool = False) -> str:
    """As short as it can be told: 0.3, 12, 1.5k, 2e-05, 40%."""
    if percent:
        return f"{value * 100:g}%"
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:g}M"
    if size >= 1e4:
        return f"{value / 1e3:g}k"
    return f"{value:.0e}" if 0 < size < 1e-3 else f"{value:g}"


def _frame(series: Sequence[Series], ticks: Sequence[float]) -> Frame:
    xs = [x for one in series for x in one.x]
    return Frame(min(xs), max(xs), ticks[0], ticks[-1])


def _curve(one: Series, colour: str, frame: Frame, percent: bool) -> Markup:
    if sum(math.isfinite(value) for value in one.y) < SMOOTH_FROM:
        return _path(one.x, one.y, f"line {colour}", frame) + _dots(one, colour, frame, percent)
    smooth = moving_average(one.y, max(3, len(one.y) // 20))
    return _path(one.x, one.y, f"line faint {colour}", frame) + _path(one.x, smooth, f"line {colour}", frame)


def _path(xs: Sequence[float], ys: Sequence[float], classes: str, frame: Frame) -> Markup:
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(xs, ys, strict=True):
        if math.isfinite(y):
            pieces[-1].append((frame.x(x), frame.y(y)))
        elif pieces[-1]:
            pieces.append([])
    return Markup('<path class="{}" d="{}"/>').format(
        classes, " ".join("M" + _points(piece) for piece in pieces if piece)
    )


def _dots(one: Series, colour: str, frame: Frame, percent: bool) -> Markup:
    return Markup("").join(
        _dot(colour, frame.x(x), frame.y(y), 2.4, f"{one.name}, step {x:g}: " + (f"{y:.1%}" if percent else f"{y:.4g}"))
        for x, y in zip(one.x, one.y, strict=True)
        if math.isfinite(y)
    )


def _axes(frame: Frame, ticks: Sequence[float], percent: bool) -> Markup:
    drawn = Markup("")
    for tick in ticks:
        y = frame.y(tick)
        drawn += _rule("grid", LEFT, y, WIDTH - RIGHT, y)
        drawn += _text("tick", LEFT - 6, y + 3.5, format_tick(tick, percent), "end")
    for step in sorted({round(frame.x_low + (frame.x_high - frame.x_low) * i / 4) for i in range(5)}):
        drawn += _text("tick", frame.x(step), HEIGHT - 6, f"{step:g}", "middle")
    return drawn


def _text(classes: str, x: float, y: float, text: str, anchor: str) -> Markup:
    tag = '<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>'
    return Markup(tag).format(classes, x, y, anchor, text)


def _rule(classes: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(classes, x1, y1, x2, y2)


def _dot(colour: str, x: float, y: float, radius: float, title: str) -> Markup:
    tag = '<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="{}"><title>{}</title></circle>'
    return Markup(tag).format(colour, x, y, radius, title)


def _points(points: Sequence[tuple[float, float]]) -> str:
    return "L".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _svg(content: Markup, label: str, height: float = HEIGHT) -> Markup:
    return Markup('<svg viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, label, content
    )
