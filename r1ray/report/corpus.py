"""What the page of a corpus shows, from the figures that its job left in the run folder."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TABLES = {
    "tier": "Tiers of trust",
    "domain": "Domains",
    "language": "Languages",
    "family": "Families and files",
    "operator": "Operators (– = originals)",
    "attempts": "Attempts at variants",
    "masked": "Private values masked",
}
_MOST = 12


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a bar chart."""

    label: str
    count: int
    share: float
    """Of the longest bar or of the whole, from 0 to 1: how long it is drawn."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class BarChart:
    """Counts by label."""

    title: str
    bars: tuple[Bar, ...]


def corpus_view(data: Mapping[str, Any]) -> dict[str, Any]:
    """Funnel, distributions, examples and throughput; empty without data."""
    if not data:
        return {}
    counts, examples = data["figures"]["counts"], data["figures"]["examples"]
    funnel = data["manifest"]["funnel"]
    charts = [bar_chart(title, counts[name]) for name, title in _TABLES.items() if counts.get(name)]
    return {
        "output": data["output"],
        "manifest": data["manifest"],
        "funnel": funnel_chart(funnel),
        "charts": [*charts, *_lengths(counts)],
        "changed": {name.partition("/")[2]: rows for name, rows in examples.items() if name.startswith("changed/")},
        "near": examples.get("near duplicates", []),
        "dropped": {name.partition("/")[2]: rows for name, rows in examples.items() if name.startswith("drop/")},
        "quarantined": {
            name.partition("/")[2]: rows for name, rows in examples.items() if name.startswith("quarantine/")
        },
        "samples": examples.get("sample", []),
        "synthesis": synthesis_view(data["manifest"].get("synthesis", {})),
        "stages": [
            (name, seconds, data["pieces_made"].get(name, 0), data["pieces_found"].get(name, 0))
            for name, seconds in data["seconds"].items()
        ],
        "rate": funnel["rows_in"] / data["total"] if data["total"] else 0.0,
        "total": data["total"],
    }


def funnel_chart(funnel: Mapping[str, Any]) -> BarChart:
    """From rows read, by stage and reason of what left, to rows kept."""
    whole = max(1, funnel["rows_in"])

    def bar(label: str, count: int, note: str = "") -> Bar:
        return Bar(label, count, count / whole, note)

    bars = [bar("read", funnel["rows_in"])]
    bars += [bar(reason, count, "quarantined") for reason, count in funnel["quarantined"].items()]
    for stage, reasons in sorted(funnel["dropped"].items()):
        bars += [bar(reason, count, stage) for reason, count in reasons.items()]
    return BarChart("Rows in = kept + dropped + quarantined", (*bars, bar("kept", funnel["kept"])))


def bar_chart(title: str, counts: Mapping[str, int]) -> BarChart:
    """The largest counts, and the rest as one."""
    largest = list(counts.items())[:_MOST]
    rest = sum(list(counts.values())[_MOST:])
    shown = [*largest, *([(f"{len(counts) - _MOST} more", rest)] if rest else [])]
    longest = max(count for _, count in shown)
    return BarChart(title, tuple(Bar(label, count, count / longest) for label, count in shown))


def synthesis_view(report: Mapping[str, Any]) -> dict[str, Any]:
    """Generations, and patterns before and after; empty where nothing was grown."""
    if not report.get("generations"):
        return {}
    before, after = report["coverage_of_seeds"], report["coverage_with_synthesis"]
    rejected: Counter[str] = Counter()
    for generation in report["generations"]:
        rejected.update(generation["rejected"])
    charts = [bar_chart("Patterns of the seeds", before["cells"]), bar_chart("Patterns with synthesis", after["cells"])]
    if rejected:
        charts.append(bar_chart("Mutants rejected", dict(rejected.most_common())))
    return {
        "generations": report["generations"],
        "coverage": [(name, one["covered"], one["evenness"]) for name, one in (("seeds", before), ("all", after))],
        "charts": charts,
    }


def _lengths(counts: Mapping[str, Mapping[str, int]]) -> list[BarChart]:
    """Lengths of rows as powers of two, after cleaning and at the end."""
    charts = []
    for name, title in (
        ("read/length", "Characters a row, cleaned"),
        ("length", "Characters a row, at the end"),
    ):
        bins = sorted(((int(label), count) for label, count in counts.get(name, {}).items()))
        if bins:
            longest = max(count for _, count in bins)
            bars = tuple(Bar(f"{low // 2:,} to {low - 1:,}", count, count / longest) for low, count in bins)
            charts.append(BarChart(title, bars))
    return charts
