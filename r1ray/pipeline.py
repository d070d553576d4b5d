"""The verb of `jobs/pipeline.py`: stages, each a job with a run folder of its own, fed with what earlier ones left.

    corpus ──► sft ──► reward model ──► ppo ──► a table of all stages
                 └───────────────────────┘
    key of a stage = hash of (its configuration, the outputs of the stages that it needs, the files that it names)

A finished stage with the key that it had, and whose output is intact, is skipped; a broken-off one goes on from its
checkpoint; any other is made anew, in a folder beside the old one. So a pipeline that was killed, or whose settings
were changed, does what is missing and nothing else.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from r1ray.cli import execute
from r1ray.config.jobs import PipelineJobConfig
from r1ray.config.serialise import flatten
from r1ray.errors import ConfigError
from r1ray.metrics.sinks import JsonlSink
from r1ray.pipeline_table import rows_of, show
from r1ray.runs import Run
from r1ray.runs.files import hash_path
from r1ray.runs.manifest import describe

CORPUS = "mix"
"""Folder of the corpus stage's run that holds the corpus."""
Outputs = Mapping[str, Path]
"""By a stage's name, the folder that it left: a run with a model, or a corpus."""
UNIMPORTANT = ("run.name", "run.storage", "run.report", "run.keep_checkpoints", "resources.")
"""Settings that do not change what a stage makes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One job of the pipeline."""

    job: str
    """Its name, of its group in `PipelineJobConfig` and of its run folder."""
    verb: str
    needs: tuple[str, ...]
    """Stages whose outputs it reads."""
    feed: Callable[[Any, Outputs, Path], Any]
    """Its configuration with the outputs of what it needs; the folder is that of its run."""


def _corpus(config: Any, outputs: Outputs, folder: Path) -> Any:
    return replace(config, corpus=replace(config.corpus, output=str(folder / CORPUS)))


def _sft(config: Any, outputs: Outputs, folder: Path) -> Any:
    return replace(config, sft=replace(config.sft, path=str(outputs["corpus"])))


def _reward_model(config: Any, outputs: Outputs, folder: Path) -> Any:
    return replace(config, policy=replace(config.policy, path=str(outputs["sft"])))


def _ppo(config: Any, outputs: Outputs, folder: Path) -> Any:
    return replace(
        config,
        policy=replace(config.policy, path=str(outputs["sft"])),
        reward=replace(config.reward, process_path=str(outputs["reward_model"])),
    )


STAGES = (
    Stage(job="corpus", verb="r1ray.data.pipeline:make_corpus", needs=(), feed=_corpus),
    Stage(job="sft", verb="r1ray.train.finetune:train_sft", needs=("corpus",), feed=_sft),
    Stage(job="reward_model", verb="r1ray.train.reward_job:train_reward_model", needs=("sft",), feed=_reward_model),
    Stage(job="ppo", verb="r1ray.rl.actors:train_ppo", needs=("sft", "reward_model"), feed=_ppo),
)


def run_pipeline(config: PipelineJobConfig, run: Run, stages: tuple[Stage, ...] = STAGES) -> dict[str, Any]:
    """Do what is missing, stage by stage; returns every stage's summary, and the table as rows."""
    console = Console()
    outputs: dict[str, Path] = {}
    summaries: list[dict[str, Any]] = []
    for number, stage in enumerate(stages, start=1):
        console.rule(f"{number} of {len(stages)}: {stage.job}", align="left", style="dim")
        summary, outputs[stage.job] = run_stage(stage, config, run, outputs, console)
        summaries.append({"stage": stage.job, **summary})
        run.add_parent(stage.job, outputs[stage.job])
    with contextlib.closing(JsonlSink(run.metrics_path, resume_step=-1)) as sink:
        sink.write(0, {f"time/{one['stage']}": 60 * one.get("minutes", 0.0) for one in summaries})
    folders = {stage: Path(entry["run"]) for stage, entry in run.manifest()["stages"].items()}
    rows = rows_of(summaries, folders)
    console.print(show(rows))
    best = {row["stage"]: row["accuracy"] for row in rows if row["accuracy"] is not None}
    return {
        "stages": summaries,
        "table": rows,
        **{f"accuracy_{name}": value for name, value in best.items()},
        "problems": next((row["problems"] for row in rows if row["problems"]), 0),
    }


def run_stage(
    stage: Stage, config: PipelineJobConfig, run: Run, outputs: Outputs, console: Console
) -> tuple[dict[str, Any], Path]:
    """One stage: skipped, gone on with, or made; returns its summary and what it left."""
    own = getattr(config, stage.job)
    key = stage_key(own, {name: hash_path(outputs[name]) for name in stage.needs}, config.run.seed)
    known = run.manifest().get("stages", {})
    entry = known.get(stage.job, {})
    existing = _reopen(entry) if entry.get("key") == key else None
    if existing is not None and existing.manifest()["status"] == "done" and _intact(entry):
        console.print(f"Skipped: nothing that it depends on has changed. {existing.location}", highlight=False)
        return existing.manifest()["summary"], Path(entry["output"])
    name = existing.name if existing is not None else _free_name(run.folder, stage.job)
    settings = replace(own.run, name=name, storage=str(run.folder), seed=config.run.seed)
    location = run.folder / name
    fed = replace(stage.feed(own, outputs, location), run=settings)
    run.update(stages={**known, stage.job: {"run": str(location), "key": key}})
    summary = execute(stage.verb, fed, job=stage.job, existing=existing)
    output = Path(fed.corpus.output) if stage.job == "corpus" else location / "model"
    finished = {"run": str(location), "key": key, "output": str(output), "sha256": hash_path(output)}
    run.update(stages={**known, stage.job: finished})
    return summary, output


def stage_key(config: Any, needs: Mapping[str, str], seed: int) -> str:
    """Thirty-two hexadecimal digits that name everything a stage's output depends on. Files that its settings name
    count by their content."""
    settings = {
        name: _content(name, value)
        for name, value in flatten(config)
        if not name.startswith(UNIMPORTANT) and name != "run.seed"
    }
    text = json.dumps([settings, dict(needs), seed], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _content(name: str, value: Any) -> Any:
    leaf = name.rpartition(".")[2]
    if leaf not in ("path", "input") and not leaf.endswith("_path"):
        return value
    if isinstance(value, tuple):
        return [_content(name, one) for one in value]
    path = Path(str(value)).expanduser()
    return describe(path).get("sha256", value) if value and path.exists() else value


def _intact(entry: Mapping[str, str]) -> bool:
    output = Path(entry.get("output", ""))
    return "sha256" in entry and output.exists() and hash_path(output) == entry["sha256"]


def _reopen(entry: Mapping[str, str]) -> Run | None:
    try:
        return Run.open(entry["run"])
    except ConfigError:
        return None  # it was broken off before its folder was made


def _free_name(folder: Path, wanted: str) -> str:
    name, number = wanted, 1
    while (folder / name).exists():
        number += 1
        name = f"{wanted}-{number}"
    return name
