"""What the page of a quantization shows: the artifacts beside their parent, and how sensitive each block is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1ray.report.charts import Series, format_tick, line_chart
from r1ray.report.curves import Chart

FILE = "quantize.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactView:
    """One row of the table."""

    recipe: str
    summary: str
    verdict: str
    reasons: list[str]
    cells: list[str]
    runs_on: str
    sensitivity: Chart | None


COLUMNS = (
    "MB",
    "× bf16",
    "resident MB",
    "accuracy (95 %)",
    "difference (95 %)",
    "perplexity",
    "KL mean",
    "KL max",
    "agreement",
    "tokens/s",
)


def quantize_view(folder: Path) -> dict[str, Any]:
    """Table and charts of the quantization in a run folder; empty where there is none."""
    path = folder / FILE
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {
        "columns": COLUMNS,
        "artifacts": [_view(row) for row in found["rows"]],
        "parent": _parent(found["parent"], found["rows"]),
    }


def _view(row: Mapping[str, Any]) -> ArtifactView:
    return ArtifactView(
        recipe=row["recipe"],
        summary=row.get("summary", ""),
        verdict=row["verdict"],
        reasons=row["reasons"],
        cells=_cells(row["figures"]) if "figures" in row else ["–"] * len(COLUMNS),
        runs_on=", ".join(row.get("runs_on", [])),
        sensitivity=_sensitivity(row),
    )


def _cells(figures: Mapping[str, Any]) -> list[str]:
    low, high = figures["accuracy_interval"]
    least, most = figures["difference_interval"]
    return [
        f"{figures['bytes'] / 1e6:.1f}",
        f"{figures['bytes_ratio']:.2f}",
        f"{figures['resident'] / 1e6:.0f}" if "resident" in figures else "–",
        f"{figures['accuracy']:.1%} ({low:.1%} – {high:.1%})",
        f"{figures['difference']:+.1%} ({least:+.1%} – {most:+.1%})",
        f"{figures['perplexity']:.3f}",
        f"{figures['mean_kl']:.4f}",
        f"{figures['max_kl']:.2f}",
        f"{figures['agreement']:.1%}",
        f"{figures['tokens_per_s']:.1f}" if "tokens_per_s" in figures else "–",
    ]


def _parent(parent: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> list[str]:
    figures: dict[str, Any] = next((row["figures"] for row in rows if "figures" in row), {})
    footprint = parent["footprint"] or {}
    return [
        f"{parent['bytes'] / 1e6:.1f}",
        f"{figures['bytes_ratio'] * figures['bytes'] / parent['bytes']:.2f}" if figures else "–",
        f"{footprint['resident'] / 1e6:.0f}" if footprint else "–",
        f"{parent['accuracy']:.1%}",
        "–",
        f"{figures['perplexity_parent']:.3f}" if figures else "–",
        "–",
        "–",
        "–",
        f"{footprint['tokens_per_s']:.1f}" if footprint else "–",
    ]


def _sensitivity(row: Mapping[str, Any]) -> Chart | None:
    """KL of each block alone, by depth: attention and feed-forward as two curves."""
    blocks: dict[str, dict[int, float]] = {}
    for name, kl in row.get("sensitivity", {}).items():
        *_, layer, part = name.split(".")
        blocks.setdefault(part, {})[int(layer)] = kl
    if not blocks:
        return None
    series = [
        Series(part, [float(layer) for layer in sorted(found)], [found[layer] for layer in sorted(found)])
        for part, found in sorted(blocks.items())
    ]
    legend = [(f"s{i}", one.name, f"{format_tick(float(f'{max(one.y):.3g}'))} at most") for i, one in enumerate(series)]
    return Chart(title=f"{row['recipe']}: KL with one block quantized, by layer", svg=line_chart(series), legend=legend)
