"""`r1ray plan ppo --ppo.prompts-per-step 64`: sizes and resources of a job before it starts."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from r1ray.commands.arguments import parse
from r1ray.config.serialise import config_classes, job_name, nearest
from r1ray.errors import ConfigError

if TYPE_CHECKING:
    from r1ray.cluster.plan import Plan

USAGE = """usage: r1ray plan JOB [--group.field VALUE ...]

JOB is a job's name (`ppo`) or its file (`jobs/ppo.py`). Prints sizes and resources; starts nothing."""


def main(arguments: Sequence[str]) -> None:
    """Parse the job's own arguments and print its plan."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return
    job = arguments[0]
    config, _ = parse(default_config(job), arguments[1:], prog=f"r1ray plan {job}", description=USAGE)
    from r1ray.cluster.plan import make_plan  # after parsing: it imports Ray
    from r1ray.cluster.plan_reward_model import plan_reward_model
    from r1ray.cluster.plan_sft import plan_sft
    from r1ray.data.corpus.sizes import plan_corpus

    plans: dict[str, Callable[[Any], Plan]] = {
        "ppo": make_plan,
        "sft": plan_sft,
        "reward_model": plan_reward_model,
        "corpus": plan_corpus,
    }
    kind = job_name(config)
    if kind not in plans:
        raise ConfigError(f"There is no plan of {kind} jobs; expected one of {', '.join(plans)}.")
    Console().print(plans[kind](config).table())


def default_config(job: str) -> Any:
    """The configuration that a job starts from: `CONFIG` of its file, or the defaults of its class."""
    if job.endswith(".py"):
        path = Path(job)
        if not path.is_file():
            raise ConfigError(
                f"{job}: no such file. Expected a job's file such as jobs/ppo.py, or its name: "
                f"{', '.join(config_classes())}."
            )
        spec = importlib.util.spec_from_file_location(f"r1ray_job_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        if not hasattr(module, "CONFIG"):
            raise ConfigError(f"{job} has no CONFIG: a job's file holds its whole configuration under that name.")
        return module.CONFIG
    classes = config_classes()
    if job not in classes:
        suggestion = nearest(job, classes)
        raise ConfigError(
            f"No job {job!r}. "
            + (f"Did you mean {suggestion}?" if suggestion else f"Expected one of: {', '.join(classes)}.")
        )
    return classes[job]()
