"""What a job asks for before it starts: derived sizes, memory and bookings of each kind of worker. No Ray here."""

import math
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from r1ray.cluster.budget import PROCESS, WorkerBudget, learner_budget, reward_budget, rollout_budget
from r1ray.cluster.shapes import ModelShape, model_shape
from r1ray.config.jobs import PPOJobConfig, TinyJobConfig, TuneJobConfig
from r1ray.config.resources import ResourcesConfig
from r1ray.config.trial import trial_config, trial_space

GIB = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Workers:
    """One kind of worker: how many, what each books, what each is thought to need."""

    kind: str
    count: int
    cpus: float
    gpus: float
    budget: WorkerBudget | None
    """None: the model's size is not known before it is loaded."""

    @property
    def host_bytes(self) -> int:
        """Main memory of one of them."""
        return self.budget.host if self.budget else 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The sizes that follow from a configuration, and who will run."""

    sizes: dict[str, str]
    workers: tuple[Workers, ...]

    def required(self) -> dict[str, float]:
        """What the job books and needs in all: `CPU`, `GPU`, and `memory` in bytes as far as it can be estimated."""
        return {
            "CPU": sum(group.count * group.cpus for group in self.workers),
            "GPU": sum(group.count * group.gpus for group in self.workers),
            "memory": float(sum(group.count * group.host_bytes for group in self.workers)),
        }

    def bundles(self) -> list[dict[str, float]]:
        """What each single worker books and needs; no worker spans two nodes."""
        return [
            {"CPU": group.cpus, "GPU": group.gpus, "memory": float(group.host_bytes)}
            for group in self.workers
            for _ in range(group.count)
        ]

    def table(self) -> Group:
        """The plan for a rich console."""
        sizes = Table(box=None, show_header=False, pad_edge=False)
        for name, value in self.sizes.items():
            sizes.add_row(Text(name, style="dim"), value)
        workers = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("workers", "count", "CPUs", "GPUs", "memory each", "of which"):
            workers.add_column(column, justify="left" if column in ("workers", "of which") else "right")
        for group in self.workers:
            budget = group.budget
            workers.add_row(
                group.kind,
                str(group.count),
                f"{group.cpus:g}",
                f"{group.gpus:g}",
                gib(budget.total) if budget else "unknown",
                ", ".join(f"{name} {gib(size)}" for name, size in budget.parts.items() if size) if budget else "",
            )
        return Group(sizes, Text(), workers)


def gib(size: float) -> str:
    """Bytes as `1.5 GiB`."""
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / 2**20:.0f} MiB"


def learner_group(resources: ResourcesConfig, budget: WorkerBudget | None) -> Workers:
    """The ranks that train."""
    return Workers(
        kind="learner",
        count=resources.learners,
        cpus=resources.learner_cpus,
        gpus=resources.learner_gpus,
        budget=budget,
    )


def policy_line(path: str, shape: ModelShape | None) -> str:
    """Where a model comes from and how large it is, as far as that is known."""
    return f"{path}  ({shape.params / 1e6:,.0f} M weights)" if shape else path


def make_plan(config: Any) -> Plan:
    """Derive the plan of a job. Reads the headers of a model's files and nothing else."""
    if isinstance(config, TuneJobConfig):
        return _search_plan(config)
    if isinstance(config, TinyJobConfig):
        return _tiny_plan(config)
    return _ppo_plan(config)


def _search_plan(config: TuneJobConfig) -> Plan:
    """One trial's own plan, under the sizes of the search: every trial books what a single run would."""
    tune = config.tune
    one = make_plan(trial_config(tune))
    sizes = {
        "trials": f"{tune.trials} of {tune.job}" + (f", none begun after {tune.minutes:g} min" if tune.minutes else ""),
        "at once": f"{tune.parallel}" if tune.parallel else "2 on a cluster that has room, 1 on a machine of its own",
        "searched": "  ".join(trial_space(tune)),
    }
    return Plan(sizes=sizes | {f"each trial: {name}": size for name, size in one.sizes.items()}, workers=one.workers)


def _tiny_plan(config: TinyJobConfig) -> Plan:
    tiny = config.tiny
    sizes = {
        "examples": f"{tiny.examples:,}",
        "optimizer steps": f"{tiny.examples // tiny.batch:,}  ({tiny.batch} examples each)",
        "network": f"{tiny.layers} layers of width {tiny.width}",
    }
    budget = WorkerBudget(parts={"process": PROCESS}, on_gpu=False)
    return Plan(sizes=sizes, workers=(Workers(kind="trainer", count=1, cpus=1.0, gpus=0.0, budget=budget),))


def _ppo_plan(config: PPOJobConfig) -> Plan:
    ppo, resources = config.ppo, config.resources
    samples = ppo.prompts_per_step * ppo.samples_per_prompt
    updates = ppo.epochs * ppo.minibatches
    generated = samples * config.sampling.max_new_tokens
    prompts = ppo.prompts_per_step * config.problems.max_prompt_tokens
    share = (generated + prompts) / (ppo.minibatches * resources.learners)
    budget = config.optim.tokens_per_microbatch
    microbatches = math.ceil(share / budget)
    sizes = {
        "steps": f"{ppo.steps}",
        "samples per step": f"{samples}  ({ppo.prompts_per_step} prompts × {ppo.samples_per_prompt} samples)",
        "samples in all": f"{samples * ppo.steps:,}",
        "optimizer steps": f"{updates * ppo.steps}  ({ppo.epochs} epochs × {ppo.minibatches} minibatches each)",
        "samples per optimizer step": f"{samples // ppo.minibatches}",
        "tokens generated per step": f"at most {generated:,}",
        "tokens trained per pass": f"at most {generated + prompts:,}  (the samples of a problem share its prompt)",
        "micro-batches per optimizer step": f"at most {microbatches} of {budget:,} tokens on each learner",
        "learners": f"{resources.learners} × ZeRO stage {config.zero.stage}, {config.policy.dtype}",
    }
    shape = model_shape(config.policy.path)
    sizes["policy"] = policy_line(config.policy.path, shape)
    workers = (
        learner_group(resources, learner_budget(config, shape) if shape else None),
        Workers(
            kind="rollout",
            count=resources.rollout_workers,
            cpus=resources.rollout_cpus,
            gpus=resources.rollout_gpus,
            budget=rollout_budget(config, shape) if shape else None,
        ),
        Workers(
            kind="reward",
            count=resources.reward_workers,
            cpus=resources.reward_cpus,
            gpus=resources.reward_gpus,
            budget=reward_budget(config),
        ),
    )
    return Plan(sizes=sizes, workers=workers)
