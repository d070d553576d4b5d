"""What a trial runs, job by job, without Ray: its configuration, its run folder, its worth at the end."""

import importlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from r1ray.config.jobs import PPOJobConfig
from r1ray.config.serialise import differences, to_dict
from r1ray.config.tune import TuneConfig
from r1ray.errors import ConfigError
from r1ray.metrics.sinks import read_jsonl
from r1ray.models.loading import resolve_model
from r1ray.runs import Run
from r1ray.runs.manifest import owning_run
from r1ray.tune.objective import Worth, worth
from r1ray.tune.space import SearchSpace, nested

VERBS = {
    "ppo": "r1ray.rl.actors:train_ppo",
    "reward_model": "r1ray.train.reward_job:train_reward_model",
    "sft": "r1ray.train.finetune:train_sft",
    "tiny": "r1ray.tune.tiny:train_tiny",
}
"""What the job files of these names call."""

SHARED = "shared"
"""Folder of the search that holds the cold-started policy, from which every trial begins."""
OWN_START = ("cold_start.", "policy.", "problems.", "optim.betas", "optim.eps", "optim.max_grad_norm")
"""Settings that a cold start depends on: where one of them is searched, every trial makes its own."""


def verb_of(job: str) -> Callable[[Any, Run], Mapping[str, Any]]:
    """The function behind a job."""
    module, _, name = VERBS[job].partition(":")
    function: Callable[[Any, Run], Mapping[str, Any]] = getattr(importlib.import_module(module), name)
    return function


def measurable(base: Any, tune: TuneConfig) -> Any:
    """`base` such that its trials report what the objective asks for.

    Raises:
        ConfigError: a scheduler is to stop trials early that measure nothing on the way.
    """
    evaluation = getattr(base, "evaluation", None)
    if evaluation is not None and tune.scheduler != "none" and not evaluation.every:
        raise ConfigError(
            f"tune.scheduler is {tune.scheduler!r} and evaluation.every is 0: trials would have no held-out figure "
            'before their end. Put {"evaluation": {"every": 2}} into the file that tune.base names.'
        )
    if evaluation is not None and tune.objective == "held_out" and not evaluation.problems:
        raise ConfigError("evaluation.problems is 0 in tune.base: there would be nothing to tell trials apart by.")
    if not isinstance(base, PPOJobConfig):
        return base
    if tune.objective == "held_out" and tune.kl_weight and not base.ppo.needs_reference:
        return replace(base, ppo=replace(base.ppo, measure_kl=True))
    return base


def shares_start(base: Any, space: SearchSpace) -> bool:
    """Whether all trials can begin from one cold-started policy."""
    return (
        isinstance(base, PPOJobConfig)
        and base.cold_start.examples > 0
        and owning_run(resolve_model(base.policy.path)) is None
        and not any(path.startswith(OWN_START) for path in space.ranges)
    )


def make_start(base: PPOJobConfig, run: Run) -> PPOJobConfig:
    """`base` from the cold-started policy in the search's folder, which is made first where it is not there."""
    shared = Path(run.folder) / SHARED
    if not (shared / "model").is_dir():
        shutil.rmtree(shared, ignore_errors=True)
        config = replace(
            base,
            run=replace(base.run, name=SHARED, storage=str(run.folder), report=False),
            ppo=replace(base.ppo, steps=0),
            evaluation=replace(base.evaluation, problems=0),
        )
        with Run.create("ppo", config) as start:
            verb_of("ppo")(config, start)
    return replace(base, policy=replace(base.policy, path=str(shared)))


def run_trial(base: Any, values: Mapping[str, Any], tune: TuneConfig, storage: str, name: str) -> Worth:
    """Run the job with one assignment, in a run folder of its own, and say what it was worth.

    The folder keeps the figures; weights and checkpoints go, since what a search leaves is a configuration.
    """
    config = SearchSpace.apply(base, values)
    config = replace(config, run=replace(config.run, name=name, storage=storage, report=False, checkpoint_every=0))
    with Run.create(tune.job, config) as run:
        summary = verb_of(tune.job)(config, run)
        run.finish(summary)
        for folder in (run.model_path, run.folder / "checkpoints", run.folder / "ray_train"):
            shutil.rmtree(folder, ignore_errors=True)
    steps = list(read_jsonl(run.metrics_path)) if run.metrics_path.exists() else []
    last = {key: row[key] for row in steps for key in row}
    return worth(tune, {**last, **_final(summary)})


def _final(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A summary whose accuracy stands above that of any step."""
    named = next((summary[name] for name in ("accuracy_after", "accuracy") if name in summary), None)
    return {**summary, **({} if named is None else {"evaluation/accuracy": named})}


def best_file(base: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """What `--config` of the job reads: the settings that differ from its defaults, but for the run's own."""
    config = SearchSpace.apply(base, values)
    changed = differences(config, type(config)())
    plain = to_dict(config)

    def value(name: str) -> Any:
        branch: Any = plain
        for part in name.split("."):
            branch = branch[part]
        return branch

    return nested({name: value(name) for name in (*changed, *values) if not name.startswith("run.")})
