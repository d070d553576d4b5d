"""What a corpus job asks for before it starts: units of work, partitions, stages, workers. No Ray here."""

import os

from r1ray.cluster.budget import PROCESS, WorkerBudget
from r1ray.cluster.plan import Plan, Workers
from r1ray.config.jobs import CorpusJobConfig
from r1ray.data.corpus.plan import CorpusPlan
from r1ray.data.corpus.units import plan_inputs

_BATCH = 64 * 2**20
"""Rows of one batch with their keys."""
_KEYS_OF_INPUT = 0.5
"""Bytes of keys for one of input, sorted copies included."""


def plan_corpus(config: CorpusJobConfig) -> Plan:
    """Derive the plan. Reads the input once, for its hash and its line ends.

    Raises:
        DataError: an input matches nothing.
    """
    plan = CorpusPlan(config=config, inputs=plan_inputs(config.corpus))
    inputs, settings = plan.inputs, config.corpus
    files = sum(bool(source.bytes) for source in inputs.sources)
    families = len(inputs.sources) - files
    sizes = {"input": f"{files} files, {inputs.bytes / 2**20:,.1f} MiB"}
    if families:
        sizes["generated"] = f"{settings.count:,} problems of {families} families"
    sizes["units"] = f"{len(inputs.units)}, of at most {settings.unit_mib:g} MiB where a file can be cut"
    sizes["shuffle"] = f"{plan.partitions} partitions"
    sizes["steps"] = ", ".join(_steps(config))
    if config.augment.operators:
        sizes["variants"] = ", ".join(f"{name} {p:g}" for name, p in config.augment.probabilities().items())
    if generations := config.synthesize.generations:
        grown = config.synthesize
        asked = f"teacher {grown.teacher}, {grown.samples} samples" if grown.teacher else "by programs alone"
        most = generations * grown.population * grown.children
        sizes["synthesis"] = f"at most {most:,} mutants in {generations} generations, {asked}"
    tokens = f", and as token ids of {settings.tokenizer}" if settings.tokenizer else ""
    sizes["shards"] = f"of {settings.shard_rows:,} rows{tokens}"
    sizes["output"] = str(plan.output)
    found = len(list(plan.pieces.root.glob("*/[0-9]*")))
    sizes["finished before"] = f"{found} pieces" if found else "nothing"
    cpus = os.cpu_count() or 1
    partition = int(min(inputs.bytes, settings.partition_mib * 2**20) * _KEYS_OF_INPUT)
    parts = {"process": PROCESS, "batch": _BATCH, "partition": partition}
    tasks = Workers(
        kind="task",
        count=max(1, int(cpus / settings.work_cpus)),
        cpus=settings.work_cpus,
        gpus=0,
        budget=WorkerBudget(parts=parts, on_gpu=False),
    )
    return Plan(sizes=sizes, workers=(tasks,))


def _steps(config: CorpusJobConfig) -> list[str]:
    steps = {
        f"rules ({config.clean.profile})": True,
        "noise": config.noise.enabled,
        "domain": config.domain.enabled,
        "decontamination": bool(config.decontaminate.against),
        f"masking ({len(config.privacy.detectors)} kinds)": bool(config.privacy.detectors),
        "exact duplicates": config.dedup.exact,
        f"near duplicates (Jaccard {config.dedup.threshold:g})": config.dedup.near,
        "duplicates by meaning": config.semantic.enabled,
    }
    return [name for name, wanted in steps.items() if wanted]
