"""A policy's cold start as a worker of its own: worked solutions of easier problems, for jobs that need somebody who
solves some problems and fails at others."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from r1ray.data.cold_start import worked_examples
from r1ray.metrics.reductions import Metric, reduce_all
from r1ray.models.checkpoint import save_policy
from r1ray.models.loading import load_policy, load_tokenizer
from r1ray.models.policy import Policy
from r1ray.reasoning.prompts import prompt_ids
from r1ray.train.supervised import Example, train_supervised
from r1ray.train.trainer import WorkerContext
from r1ray.train.zero import ZeroEngine
from r1ray.types import Problem

FOLDER = "cold_start"
"""Folder of the run that holds the cold-started policy."""


def cold_start(payload: Mapping[str, Any], context: WorkerContext) -> None:
    """One rank's part. `payload`: `config` (a job's, with `policy`, `problems`, `cold_start`, `optim`, `zero` and
    `run`), `run`, `seen` (ids of problems that no example may pose) and `mailbox`."""
    config, mailbox = payload["config"], payload["mailbox"]
    folder: Path = payload["run"].folder / FOLDER
    settings = config.cold_start
    torch.manual_seed(config.run.seed)
    tokenizer = load_tokenizer(config.policy.path)
    prompt = partial(prompt_ids, tokenizer, system=config.problems.system)

    def example(problem: Problem) -> Example:
        ids = tokenizer(problem.solution, add_special_tokens=False)["input_ids"]
        return Example(prompt_ids=prompt(problem), response_ids=[*ids, int(tokenizer.eos_token_id)])

    examples = [example(p) for p in worked_examples(settings, config.run.seed, payload["seen"])]
    batches = [
        examples[i : i + settings.batch][context.rank :: context.world_size]
        for _ in range(settings.epochs)
        for i in range(0, len(examples), settings.batch)
    ]
    optim = replace(config.optim, lr=settings.lr, schedule="cosine", warmup=0, weight_decay=0.0)
    model, _ = load_policy(config.policy)
    engine = ZeroEngine(
        Policy(model),
        optim,
        config.zero,
        dtype=config.policy.dtype,
        total_steps=len(batches),
        device=context.device,
    )

    def report(step: int, metrics: dict[str, Metric]) -> None:
        if context.rank == 0:
            loss = reduce_all([metrics])["sft/loss"]
            mailbox.post("phase", f"cold start {step}/{len(batches)}, loss {loss:.3f}")

    train_supervised(engine, batches, optim, report)
    weights = engine.weights()
    if context.rank == 0:
        save_policy(folder, engine.module, tokenizer, weights)
    context.meet()
