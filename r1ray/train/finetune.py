"""The verb of `jobs/sft.py`: settle and read, then a Ray Train group of learners, and the driver that watches them."""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from rich.console import Console

from r1ray.cluster.connect import connect
from r1ray.cluster.mailbox import Mailbox
from r1ray.cluster.metrics_sink import RayMetricsSink
from r1ray.cluster.plan_sft import plan_sft
from r1ray.cluster.preflight import wait_until_fits
from r1ray.config.jobs import SFTJobConfig
from r1ray.config.policy import PolicyConfig
from r1ray.data.problem_set import ProblemSet
from r1ray.data.sft_rows import SFTRows, read_sft_rows
from r1ray.errors import R1RayError
from r1ray.generation.engine import GenerationEngine
from r1ray.generation.factory import make_engine
from r1ray.models.loading import load_tokenizer
from r1ray.progress import ConsoleView
from r1ray.runs import Run
from r1ray.train.drive import drive
from r1ray.train.examine import evaluations, paired
from r1ray.train.listener import Listener
from r1ray.train.loop import planned_steps
from r1ray.train.prepare import QUARANTINE, data_path, model_path, read_problems, record_models
from r1ray.train.sft_session import SFTData, SFTSession, SFTWorkers, loop_config, row_order
from r1ray.train.trainer import WorkerContext, fetch, share
from r1ray.train.watch import Watcher
from r1ray.train.zero import ZeroEngine


def train_sft(config: SFTJobConfig, run: Run) -> dict[str, Any]:
    """Fine-tune in the run's folder, on the cluster at hand; returns the headline figures."""
    config = settle(config, run)
    console = Console()
    note = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    data = read_data(config, run, note)
    total = planned_steps(row_order(data.rows, config.run.seed), loop_config(config))
    plan = plan_sft(config)
    console.print(plan.table())
    note("Starting Ray …")
    connect()
    wait_until_fits(plan, config.resources.wait_seconds)
    note("Starting the learners (Ray Train, PyTorch, DeepSpeed; some 20 s) …")
    with ConsoleView(f"SFT · {run.name}", total) as view:
        watcher = Watcher(run, view, [RayMetricsSink(run.name)])
        mailbox = Mailbox()
        payload = {"config": config, "run": run, "data": share(data), "mailbox": mailbox}
        try:
            drive(learn, payload, watcher, run=run, resources=config.resources, mailbox=mailbox)
        finally:
            watcher.close()
    return summary(run)


def learn(payload: Mapping[str, Any], context: WorkerContext) -> None:
    """One learner rank, from its start to its end; Ray Train calls it again after a failure."""
    config, run, mailbox = (payload[key] for key in ("config", "run", "mailbox"))
    if mailbox.ask("started", context.rank):
        return
    workers = SFTWorkers(
        make_engine=partial(
            ZeroEngine,
            zero=config.zero,
            dtype=config.precision.dtype,
            device=context.device,
            precision=config.precision,
            sequence=config.parallel.sequence,
            tensor=config.parallel.tensor,
        ),
        make_generation=functools.partial(generation, config, context.device.type),
        meet=context.meet,
        report=context.report,
    )
    try:
        data = fetch(payload["data"])
        SFTSession(config, run, data, workers, mailbox, rank=context.rank, world_size=context.world_size).run()
    except R1RayError as error:
        # A mistake of ours or the user's: running into it again would not help, so the driver hears of it and nobody
        # restarts.
        mailbox.ask("error", error)
        if context.world_size > 1:
            raise  # the other ranks are waiting in a collective


def rehearse_rank(config: SFTJobConfig, run: Run, listener: Listener, *, rank: int, world_size: int) -> None:
    """One rank of the job in a process group that is there already, without Ray (see `train.rehearsal`)."""
    device = torch.device("cuda", rank) if config.resources.learner_gpus else torch.device("cpu")
    workers = SFTWorkers(
        make_engine=partial(
            ZeroEngine,
            zero=config.zero,
            dtype=config.precision.dtype,
            device=device,
            precision=config.precision,
            sequence=config.parallel.sequence,
            tensor=config.parallel.tensor,
        ),
        make_generation=functools.partial(generation, config, device.type),
        meet=dist.barrier,
        report=lambda values: None,
    )
    data = read_data(config, run, lambda text: None)
    SFTSession(config, run, data, workers, listener, rank=rank, world_size=world_size).run()


def generation(config: SFTJobConfig, device: str, policy: PolicyConfig) -> GenerationEngine:
    """The engine that answers held-out problems."""
    return make_engine(config.engine, replace(policy, lora=PolicyConfig().lora), device)


def settle(config: SFTJobConfig, run: Run) -> SFTJobConfig:
    """Check and record what the job starts from; returns the configuration with absolute paths.

    Raises:
        ModelError: there is no model at the policy's path.
        CheckpointError: the run is resumed, and the policy has changed.
    """
    problems, sft = config.problems, config.sft
    mix = tuple(f"{data_path(path)}@{weight}" for path, weight in sft.shards())
    config = replace(
        config,
        policy=replace(config.policy, path=model_path(config.policy.path)),
        problems=replace(problems, path=data_path(problems.path), heldout_path=data_path(problems.heldout_path)),
        sft=replace(sft, path=data_path(sft.path), mix=mix),
    )
    run.save_config(config)
    record_models({"policy": config.policy.path}, run)
    inputs = {"sft": config.sft.path, "problems": config.problems.path, "heldout": config.problems.heldout_path}
    inputs |= {f"mix {number}": path for number, (path, _) in enumerate(config.sft.shards(), start=1)}
    for name, path in inputs.items():
        if path:
            run.add_input(name, path)
    return config


def read_data(config: SFTJobConfig, run: Run, note: Callable[[str], None]) -> SFTData:
    """Problems and rows; what became of every row goes into the manifest, and the bad ones into a file beside it.

    Raises:
        DataError: there are too few, or none can be used.
    """
    problems: ProblemSet = read_problems(config, run, note)
    rows = read_sft_rows(
        config.sft,
        load_tokenizer(config.policy.path),
        seed=config.run.seed,
        system=config.problems.system,
        problems=lambda: problems.train,
        heldout=frozenset(problem.id for problem in problems.heldout),
    )
    run.update(rows=rows.counts | {"train": len(rows.train), "validation": len(rows.validation)})
    _set_aside(rows, run, note)
    return SFTData(rows=rows, heldout=problems.heldout)


def _set_aside(rows: SFTRows, run: Run, note: Callable[[str], None]) -> None:
    if rows.quarantined:
        with (run.folder / QUARANTINE).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows.quarantined)
        note(f"{len(rows.quarantined):,} rows were set aside: {run.folder / QUARANTINE}")
    if rows.counts["cut"]:
        note(f"{rows.counts['cut']:,} rows were cut at sft.max_tokens, and lost their ending.")
    if rows.counts["heldout"]:
        note(f"{rows.counts['heldout']:,} rows ask a held-out problem, and were dropped.")


def summary(run: Run) -> dict[str, Any]:
    """Headline figures: accuracy before and after, McNemar's p of the two."""
    kept = evaluations(run.folder)
    figures: dict[str, Any] = {
        f"accuracy_{name}": kept[name]["accuracy"] for name in ("before", "after") if name in kept
    }
    if "before" in kept and "after" in kept:
        test, problems = paired(kept["before"], kept["after"])
        figures |= {"p_value": test.p_value, "problems": problems}
    return figures
