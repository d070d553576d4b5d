"""From a run folder to `report.html`: read, shape, fill the template."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from r1ray.config.serialise import config_classes
from r1ray.errors import DataError
from r1ray.report.charts import interval_chart, reliability_chart
from r1ray.report.corpus import corpus_view
from r1ray.report.curves import charts
from r1ray.report.headline import accuracies, cards
from r1ray.report.quantize import quantize_view
from r1ray.report.rollouts import choose, colour_scale, show
from r1ray.report.samples import read_samples
from r1ray.report.search import search_pictures

TEMPLATES = Path(__file__).parent / "templates"
PLACE = ("run.name", "run.storage")
"""Settings that always differ from their defaults and say nothing about the experiment."""


def render_report(folder: str | Path) -> Path:
    """Write `report.html` into a run folder from what is there, and return its path. A run that still goes on has a
    report too.

    A job with a template of its own name (`templates/<job>.html.jinja`) gets that one, any other `run.html.jinja`.
    Raises `DataError` if the folder is not a run's.
    """
    folder = Path(folder)
    manifest = _read_json(folder / "manifest.json")
    if not manifest:
        raise DataError(f"{folder} has no manifest.json: expected a run folder, such as runs/ppo-20260102-030405.")
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.select_template([f"{manifest['job']}.html.jinja", "run.html.jinja"])
    path = folder / "report.html"
    temporary = path.with_suffix(".html.tmp")
    temporary.write_text(template.render(**context(folder, manifest)), encoding="utf-8")
    return temporary.replace(path)


def context(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Everything that the templates show."""
    config = flatten(_read_json(folder / "config.json"))
    defaults = default_settings(manifest["job"])
    main_charts, other_charts = charts(_read_rows(folder / "metrics.jsonl"))
    chosen = choose(read_samples(folder / "samples.jsonl"))
    scale = colour_scale([row for _, rows in chosen for row in rows])
    summary = manifest.get("summary", {})
    return {
        "manifest": manifest,
        "took": _took(manifest),
        "cards": cards(summary),
        "accuracy_chart": interval_chart(accuracies(summary)),
        "reliability_chart": reliability(folder),
        "pipeline": summary.get("table", []),
        "charts": main_charts,
        "other_charts": other_charts,
        "changed": [(k, v, defaults.get(k)) for k, v in config.items() if k not in PLACE and v != defaults.get(k, v)],
        "config": config,
        "rollouts": [(step, [show(row, scale) for row in rows]) for step, rows in chosen],
        "scale": scale,
        "corpus": corpus_view(_read_json(folder / "corpus.json")),
        "search": search_pictures(folder),
        "quantize": quantize_view(folder),
    }


def reliability(folder: Path) -> Markup:
    """The reliability plot of a run whose model states probabilities (`examination.json`); else nothing."""
    bins = _read_json(folder / "examination.json").get("reliability", [])
    return reliability_chart([(one["confidence"], one["accuracy"], one["count"]) for one in bins if one["count"]])


def default_settings(job: str) -> dict[str, Any]:
    """A job's default settings by dotted name; empty for a job without a configuration class."""
    known = config_classes()
    if job not in known:
        return {}
    from r1ray.config.serialise import to_dict

    return flatten(to_dict(known[job]()))


def flatten(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _took(manifest: dict[str, Any]) -> str:
    """Wall time from start to end, in words; empty while there is no end."""
    try:
        seconds = (
            datetime.fromisoformat(manifest["ended"]) - datetime.fromisoformat(manifest["started"])
        ).total_seconds()
    except (KeyError, ValueError):
        return ""
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.1f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}.") from error
    return data


def _read_rows(path: Path) -> list[dict[str, Any]]:
    from r1ray.metrics.sinks import read_jsonl

    return list(read_jsonl(path))
