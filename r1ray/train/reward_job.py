"""The verb of `jobs/reward_model.py`: rows from files or from a policy's attempts, training, examination.

files ─────────────────────────────────────────────┐
policy ─► cold start ─► attempts ─► step labels ───┴─► rows ─► Ray Train ─► model/ ─► held-out figures
          (a run needs none)   Ray Data, engines
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from rich.console import Console

from r1ray.cluster.connect import connect
from r1ray.cluster.mailbox import Mailbox
from r1ray.cluster.metrics_sink import RayMetricsSink
from r1ray.cluster.plan_reward_model import plan_reward_model
from r1ray.cluster.preflight import wait_until_fits
from r1ray.cluster.threads import phase_threads, set_threads
from r1ray.config.jobs import RewardModelJobConfig
from r1ray.data.labelled_steps import EncodedSteps
from r1ray.data.quarantine import DataReport
from r1ray.errors import ConfigError, DataError, R1RayError
from r1ray.models.loading import decoder, load_tokenizer, resolve_model
from r1ray.progress import ConsoleView
from r1ray.runs import Run
from r1ray.runs.manifest import owning_run
from r1ray.train import cold_start as cold
from r1ray.train.attempts import Attempt
from r1ray.train.drive import drive
from r1ray.train.labelling import Wanted, sample_attempts
from r1ray.train.listener import Listener
from r1ray.train.prepare import QUARANTINE, data_path, model_path, read_problems, record_models
from r1ray.train.reward_examination import Examiner
from r1ray.train.reward_rows import (
    Material,
    Parts,
    attempt_pairs,
    group_pairs,
    monte_carlo_rows,
    read_pair_files,
    read_step_files,
    rule_rows,
)
from r1ray.train.reward_session import Ranks, RewardSession, steps_ahead
from r1ray.train.trainer import WorkerContext, fetch, share
from r1ray.train.watch import Watcher
from r1ray.train.zero import ZeroEngine

Note = Callable[[str], None]


def train_reward_model(config: RewardModelJobConfig, run: Run) -> dict[str, Any]:
    """Train in the run's folder, on the cluster at hand; returns the headline figures.

    A resumed run does nothing twice: the cold-started policy, finished labelling tasks, training steps up to the
    checkpoint and the saved model are taken as they are.
    """
    config = settle(config, run)
    plan = plan_reward_model(config)
    Console().print(plan.table())
    connect()
    wait_until_fits(plan, config.resources.wait_seconds)
    with ConsoleView(f"Reward model · {run.name}", 0) as view:
        config, material = gather(config, run, view)
        view.expect(steps_ahead(material.parts, config))
        if not run.model_path.exists():
            _train(config, run, material.parts, view)
        view.phase("examination on held-out problems")
        set_threads(phase_threads(config.resources, 1))
        return Examiner(config, run, view.note).examine(material)


def settle(config: RewardModelJobConfig, run: Run) -> RewardModelJobConfig:
    """Check and record what the job starts from; returns the configuration with absolute paths.

    Raises:
        ModelError: there is no model at a path.
        CheckpointError: the run is resumed, and the model that it started from has changed.
    """
    problems = config.problems
    config = replace(
        config,
        policy=replace(config.policy, path=model_path(config.policy.path)),
        problems=replace(problems, path=data_path(problems.path), heldout_path=data_path(problems.heldout_path)),
        reward_model=replace(config.reward_model, path=data_path(config.reward_model.path)),
    )
    run.save_config(config)
    record_models({"policy": config.policy.path}, run)
    inputs = {"rows": config.reward_model.path, "problems": config.problems.path, "heldout": problems.heldout_path}
    for name, path in inputs.items():
        if path:
            run.add_input(name, path)
    return config


# ── What is learned from ──────────────────────────────────────────────────────────────────────────────────────────────


def gather(config: RewardModelJobConfig, run: Run, view: ConsoleView) -> tuple[RewardModelJobConfig, Material]:
    """Read files, or have the policy try; returns the configuration with the policy that the model starts from."""
    if config.reward_model.path:
        return config, _from_files(config, run, view.note)
    return _from_attempts(config, run, view)


def _from_files(config: RewardModelJobConfig, run: Run, note: Note) -> Material:
    material, report = read_material(config)
    _record(run, report, note)
    return material


def read_material(config: RewardModelJobConfig) -> tuple[Material, DataReport]:
    """What files hold, and what became of their rows.

    Raises:
        DataError: no row can be used, or there are too few to hold some out.
    """
    tokenizer = load_tokenizer(config.policy.path)
    if config.reward_model.kind == "preference":
        pairs = read_pair_files(config, tokenizer)
        return Material(parts=pairs.parts, heldout_pairs=pairs.heldout), pairs.report
    steps = read_step_files(config, tokenizer, decoder(tokenizer))
    material = Material(
        parts=steps.parts,
        validation_examinees=steps.validation,
        heldout_examinees=steps.heldout,
        undecided=steps.undecided,
    )
    return material, steps.report


def _from_attempts(config: RewardModelJobConfig, run: Run, view: ConsoleView) -> tuple[RewardModelJobConfig, Material]:
    labels, process = config.step_labels, config.reward_model.kind == "process"
    problems = read_problems(config, run, view.note)
    train = problems.train[: labels.problems + labels.validation]
    heldout = problems.heldout[: config.reward_model.heldout]
    policy = _solver(config, run, {problem.id for problem in (*problems.train, *problems.heldout)}, view)
    config = replace(config, policy=replace(config.policy, path=str(policy)))

    view.phase("the policy tries to solve problems")
    best_of = config.process.best_of if process else 0
    attempts = sample_attempts(
        [
            Wanted(purpose="train", problems=train[: labels.problems], samples=labels.samples, label=process),
            Wanted(purpose="validation", problems=train[labels.problems :], samples=labels.samples),
            Wanted(purpose="heldout", problems=heldout, samples=max(labels.samples, best_of)),
        ],
        config,
        policy,
        run.folder,
        view.phase,
    )
    solved = {name: sum(one.scored.correct for one in group) for name, group in attempts.items()}
    view.note(
        "Attempts: " + ", ".join(f"{name} {len(group)}, {solved[name]} right" for name, group in attempts.items())
    )
    if not process:
        by_part = {name: attempt_pairs(group, config) for name, group in attempts.items()}
        _require(by_part["train"], "pair of a right and a wrong attempt at the same problem")
        return config, Material(
            parts=Parts(train=group_pairs(by_part["train"]), validation=group_pairs(by_part["validation"])),
            heldout_pairs=by_part["heldout"],
        )
    rows = monte_carlo_rows(attempts["train"], labels)
    _require(rows, "step with a label")
    write_labelled(run.folder / "labelled_steps.jsonl", attempts["train"], config)
    _record_labels(run, rows, attempts["train"], config, view.note)
    return config, Material(
        parts=Parts(train=rows, validation=rule_rows(attempts["validation"])),
        heldout_attempts=attempts["heldout"],
        validation_attempts=attempts["validation"],
    )


def _solver(config: RewardModelJobConfig, run: Run, seen: set[str], view: ConsoleView) -> Path:
    """Who tries to solve the problems: the policy if a run of r1ray made it, else the policy after a cold start."""
    base = resolve_model(config.policy.path)
    if config.cold_start.examples == 0 or owning_run(base) is not None:
        return base
    folder = run.folder / cold.FOLDER
    if not folder.exists():
        mailbox = Mailbox()
        payload = {"config": config, "run": run, "seen": seen, "mailbox": mailbox}
        drive(cold.cold_start, payload, Watcher(run, view), run=run, resources=config.resources, mailbox=mailbox)
    return folder


def write_labelled(path: Path, attempts: list[Attempt], config: RewardModelJobConfig) -> None:
    """The labelled solutions as text, in r1ray's own form: `--reward-model.path` reads the file again."""
    with path.open("w", encoding="utf-8") as file:
        for attempt in attempts:
            labels = attempt.labels(config.step_labels)
            if any(label is not None for label in labels):
                row = {
                    "question": attempt.rollout.problem.question,
                    "steps": [step.text for step in attempt.steps],
                    "labels": labels,
                    "source": "monte-carlo",
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _record(run: Run, report: DataReport, note: Note) -> None:
    counted = report.to_json()
    rows = counted.pop("quarantined_rows")
    run.update(rows=counted)
    if rows:
        path = run.folder / QUARANTINE
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        reasons = ", ".join(f"{reason} {count}" for reason, count in report.reasons.items())
        note(f"{len(rows):,} of {report.rows_in:,} rows were set aside ({reasons}): {path}")


def _record_labels(
    run: Run, rows: Mapping[str, list[EncodedSteps]], attempts: list[Attempt], config: RewardModelJobConfig, note: Note
) -> None:
    kept = [label for group in rows.values() for solution in group for label in solution.labels]
    sampled = sum(outcome is not None for attempt in attempts for outcome in attempt.outcomes)
    counted = {
        "attempts": len(attempts),
        "prefixes_completed": sampled,
        "completions": sampled * config.step_labels.completions,
        "steps_labelled": len(kept),
        "labelled_right": sum(label >= 0.5 for label in kept),
    }
    run.update(labels=counted)
    note(
        f"Labels: {counted['steps_labelled']:,} steps ({counted['labelled_right']:,} right) of {len(attempts):,} "
        f"solutions; {sampled:,} had their prefixes completed {config.step_labels.completions} times."
    )


def _require(found: Any, what: str) -> None:
    if not found:
        raise DataError(
            f"Not one {what} came out of the policy's attempts: it solves all or none of these problems. Choose harder "
            "or easier problems.families, more step_labels.problems or samples, or a larger cold start."
        )


# ── Training ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _train(config: RewardModelJobConfig, run: Run, parts: Parts[Any], view: ConsoleView) -> None:
    watcher, mailbox = Watcher(run, view, [RayMetricsSink(run.name)]), Mailbox()
    view.phase("loading the learner")
    payload = {"config": config, "run": run, "parts": share(parts), "mailbox": mailbox}
    try:
        drive(learn, payload, watcher, run=run, resources=config.resources, mailbox=mailbox)
    finally:
        watcher.close()


def learn(payload: Mapping[str, Any], context: WorkerContext) -> None:
    """One learner rank; Ray Train calls it again after a failure."""
    config, run, mailbox = (payload[key] for key in ("config", "run", "mailbox"))
    if mailbox.ask("started", context.rank):
        return
    torch.manual_seed(config.run.seed)
    ranks = Ranks(
        rank=context.rank,
        world_size=context.world_size,
        make_engine=partial(ZeroEngine, zero=config.zero, dtype=config.policy.dtype, device=context.device),
        meet=context.meet,
        report=context.report,
    )
    try:
        RewardSession(config, run, fetch(payload["parts"]), mailbox, ranks).run()
    except R1RayError as error:
        mailbox.ask("error", error)  # running into it again would not help: the driver hears of it, nobody restarts
        if context.world_size > 1:
            raise  # the other ranks are waiting in a collective


def rehearse_rank(config: RewardModelJobConfig, run: Run, listener: Listener, *, rank: int, world_size: int) -> None:
    """One rank of a training from files, in a process group that is there already, without Ray (see
    `train.rehearsal`)."""
    if not config.reward_model.path:
        raise ConfigError(
            "A policy's attempts need engines on Ray, so a rehearsal trains on files: give --reward-model.path, "
            "runs/<name>/labelled_steps.jsonl of an earlier run say."
        )
    device = torch.device("cuda", rank) if config.resources.learner_gpus else torch.device("cpu")
    ranks = Ranks(
        rank=rank,
        world_size=world_size,
        make_engine=partial(ZeroEngine, zero=config.zero, dtype=config.policy.dtype, device=device),
        meet=dist.barrier,
        report=lambda values: None,
    )
    RewardSession(config, run, read_material(config)[0].parts, listener, ranks).run()
