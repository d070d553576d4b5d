"""◆ The verb of `jobs/quantize.py`: each recipe a Ray task, side by side where the cluster has room."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ray
from rich.console import Console
from rich.table import Table

from r1ray.cluster.connect import connect
from r1ray.cluster.mailbox import Mailbox
from r1ray.cluster.preflight import nodes
from r1ray.cluster.threads import available_cores, set_threads
from r1ray.config.jobs import QuantizeJobConfig
from r1ray.errors import R1RayError, ResourceError
from r1ray.metrics.sinks import JsonlSink
from r1ray.quantize import artifact
from r1ray.quantize.bench import Bench
from r1ray.quantize.gate import ACCEPTED, Examined, Footprint
from r1ray.quantize.problems import parents_problems
from r1ray.quantize.work import examine_parent, run_recipe
from r1ray.runs import Run
from r1ray.runs.files import write_json
from r1ray.train.prepare import data_path, model_path, record_models

FOLDER = "artifacts"
RESULT = "quantize.json"
"""What the report is drawn from."""
FAILED = "failed"
HEADLINES = (
    "problems",
    "bytes_ratio",
    "base_dtype",
    "accuracy_parent",
    "accuracy",
    "difference",
    "mean_kl",
    "agreement",
    "tokens_per_s_parent",
    "tokens_per_s",
)


def quantize(config: QuantizeJobConfig, run: Run) -> dict[str, Any]:
    """Make and judge an artifact by every recipe; returns the headline figures of the smallest that was accepted, or
    of the first where none was."""
    console = Console()
    parent, rows = _kept(run) if run.resumed else (None, [])
    config = settle(config, run, [row["recipe"] for row in rows], partial(console.print, highlight=False, markup=False))
    connect()
    options = booking(config, nodes())
    mailbox = Mailbox()
    # A process for each: what a library leaves behind in one cannot reach the next, and its memory is given back.
    task: Any = ray.remote(max_calls=1, max_retries=0, num_cpus=options["num_cpus"], num_gpus=options["num_gpus"])
    parent_task, recipe_task = task(_parent), task(_recipe)
    folder = run.folder / FOLDER
    with console.status("the parent …") as status:
        say = partial(_say, status, mailbox)
        if parent is None:
            waiting = {parent_task.remote(config, folder, mailbox): "parent"}
            [parent] = [_result(done) for done, _ in _as_they_end(waiting, say)]
            _keep(run, parent, rows)
        reference, names = ray.put(parent), config.quantize.recipe
        done_before = {row["recipe"] for row in rows}
        waiting = {
            recipe_task.remote(config, folder, name, reference, mailbox): name
            for name in names
            if name not in done_before
        }
        for done, name in _as_they_end(waiting, say):
            rows.append(_row(done, name))
            _chart(run, len(rows), rows[-1])
            console.print(_line(rows[-1]), highlight=False, markup=False, soft_wrap=True)
            rows.sort(key=lambda row: names.index(row["recipe"]))
            _keep(run, parent, rows)
    console.print(table(rows))
    made = [row for row in rows if row["verdict"] != FAILED]
    if not made:
        raise R1RayError(f"No recipe came to an end. {rows[0]['recipe']}: {rows[0]['reasons'][0]}")
    found = summary(made)
    if found["accepted"]:
        lead_to(run.model_path, folder / found["recipe"])
    return found


def lead_to(link: Path, folder: Path) -> None:
    """Make `link` stand for `folder` beside it: the run then is a `--policy.path`, as any other's is."""
    link.unlink(missing_ok=True)
    link.symlink_to(folder.relative_to(link.parent), target_is_directory=True)


def settle(
    config: QuantizeJobConfig, run: Run, done: Sequence[str], say: Callable[[str], None] = print
) -> QuantizeJobConfig:
    """Check and record what the job starts from; returns the configuration with absolute paths, the parent's problems,
    and the recipes that are `done` beside those that are asked for."""
    problems, why = parents_problems(config.problems, config.policy.path)
    say(f"Problems: {why}.")
    config = dataclasses.replace(
        config,
        policy=dataclasses.replace(config.policy, path=model_path(config.policy.path)),
        quantize=dataclasses.replace(config.quantize, recipe=tuple(dict.fromkeys([*done, *config.quantize.recipe]))),
        problems=dataclasses.replace(
            problems, path=data_path(problems.path), heldout_path=data_path(problems.heldout_path)
        ),
        sft=dataclasses.replace(config.sft, path=data_path(config.sft.path)),
    )
    run.save_config(config)
    record_models({"policy": config.policy.path}, run)
    for name, path in {"sft": config.sft.path, "problems": config.problems.path}.items():
        if path:
            run.add_input(name, path)
    return config


def booking(config: QuantizeJobConfig, available: list[dict[str, float]]) -> dict[str, float]:
    """CPUs and GPUs of each task.

    Raises:
        ResourceError: no node has them.
    """
    settings = config.quantize
    largest = max(node["CPU"] for node in available)
    wanted = {"num_cpus": settings.cpus or largest, "num_gpus": settings.gpus}
    if not any(node["CPU"] >= wanted["num_cpus"] and node["GPU"] >= wanted["num_gpus"] for node in available):
        raise ResourceError(
            f"A recipe asks for {wanted['num_cpus']:g} CPUs and {wanted['num_gpus']:g} GPUs on one node; the largest "
            f"of {len(available)} has {largest:g} CPUs and {max(node['GPU'] for node in available):g} GPUs. Lower "
            "quantize.cpus or quantize.gpus."
        )
    return wanted


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The headline: the smallest accepted artifact, or the first one and its verdict."""
    accepted = [row for row in rows if row["verdict"] == ACCEPTED]
    best = min(accepted, key=lambda row: row["figures"]["bytes"]) if accepted else rows[0]
    figures = best["figures"]
    found = {"recipe": best["recipe"], "verdict": best["verdict"]}
    found |= {name: figures[name] for name in HEADLINES if name in figures}
    return found | {
        "model": str(Path(best["folder"]) / ("" if best["model"] == "." else best["model"])),
        "accepted": [row["recipe"] for row in accepted],
        "rejected": [row["recipe"] for row in rows if row["verdict"] != ACCEPTED],
    }


def table(rows: list[dict[str, Any]]) -> Table:
    """The artifacts beside each other."""
    found = Table(box=None, padding=(0, 2, 0, 0))
    columns = ("recipe", "verdict", "MB", "× bf16", "accuracy", "difference (95 %)", "KL", "agree", "tokens/s")
    for column in columns:
        found.add_column(column, justify="left" if column in ("recipe", "verdict") else "right")
    for row in rows:
        if row["verdict"] == FAILED:
            found.add_row(row["recipe"], FAILED)
            continue
        figures = row["figures"]
        low, high = figures["difference_interval"]
        found.add_row(
            row["recipe"],
            row["verdict"],
            f"{figures['bytes'] / 1e6:.1f}",
            f"{figures['bytes_ratio']:.2f}",
            f"{figures['accuracy']:.1%}",
            f"{figures['difference']:+.1%} ({low:+.1%} to {high:+.1%})",
            f"{figures['mean_kl']:.4f}",
            f"{figures['agreement']:.1%}",
            f"{figures['tokens_per_s']:.1f}" if "tokens_per_s" in figures else "–",
        )
    return found


# ── In the tasks ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _bench(config: QuantizeJobConfig, folder: Path, mailbox: Mailbox, name: str) -> Bench:
    set_threads(config.resources.threads or int(config.quantize.cpus) or available_cores())
    return Bench(config=config, folder=folder, note=lambda text: mailbox.post("note", f"{name}: {text}"))


def _parent(config: QuantizeJobConfig, folder: Path, mailbox: Mailbox) -> Examined:
    return examine_parent(_bench(config, folder, mailbox, "parent"))


def _recipe(config: QuantizeJobConfig, folder: Path, name: str, parent: Examined, mailbox: Mailbox) -> dict[str, Any]:
    return run_recipe(_bench(config, folder, mailbox, name), name, parent)


# ── In the driver ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _as_they_end(waiting: dict[Any, str], say: Callable[[], None]) -> Any:
    left = dict(waiting)
    while left:
        done, _ = ray.wait(list(left), timeout=1.0)
        say()
        for reference in done:
            yield reference, left.pop(reference)


def _say(status: Any, mailbox: Mailbox) -> None:
    for event in mailbox.take():
        status.update(str(event.payload))


def _result(reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, R1RayError):
            raise error.cause from None
        raise


def _row(reference: Any, name: str) -> dict[str, Any]:
    """What a recipe came to; one that failed does not take the others with it."""
    try:
        row: dict[str, Any] = _result(reference)
    except (R1RayError, ray.exceptions.RayError) as error:
        return {"recipe": name, "verdict": FAILED, "reasons": [str(error).strip()[-800:]]}
    return row


def _line(row: Mapping[str, Any]) -> str:
    reasons = f": {'; '.join(row['reasons'])}" if row["reasons"] else ""
    return f"{row['recipe']}: {row['verdict']}{reasons}"


def _chart(run: Run, number: int, row: Mapping[str, Any]) -> None:
    """One line of metrics for each recipe that ends."""
    names = ("accuracy", "mean_kl", "agreement", "perplexity", "bytes_ratio")
    figures = {f"quantize/{name}": float(row["figures"][name]) for name in names if "figures" in row}
    with contextlib.closing(JsonlSink(run.metrics_path)) as sink:
        sink.write(number, figures)


def _keep(run: Run, parent: Examined, rows: list[dict[str, Any]]) -> None:
    """What a resumed run need not do again, and what the report is drawn from."""
    told = json.loads(json.dumps(dataclasses.asdict(parent)))
    figures = {"accuracy": parent.accuracy, "base_dtype": artifact.BASE_DTYPE}
    write_json(run.folder / RESULT, {"parent": told | figures, "rows": rows})


def _kept(run: Run) -> tuple[Examined | None, list[dict[str, Any]]]:
    """The parent's figures and the recipes that came to an end."""
    path = run.folder / RESULT
    if not path.exists():
        return None, []
    kept = json.loads(path.read_text(encoding="utf-8"))
    told = kept["parent"]
    footprint = told["footprint"]
    parent = Examined(
        correct=tuple(told["correct"]),
        bytes=told["bytes"],
        footprint=Footprint(**footprint | {"texts": tuple(footprint["texts"])}) if footprint else None,
        engine_texts=tuple(told["engine_texts"]),
    )
    return parent, [row for row in kept["rows"] if row["verdict"] != FAILED]
