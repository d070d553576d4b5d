"""What an SFT job asks for before it starts. No Ray here."""

import math

from r1ray.cluster.budget import PROCESS, WorkerBudget, activation_values, trained_parts, trained_weights
from r1ray.cluster.plan import Plan, learner_group, policy_line
from r1ray.cluster.shapes import ModelShape, model_shape
from r1ray.config.jobs import SFTJobConfig


def plan_sft(config: SFTJobConfig) -> Plan:
    """Derive the plan. Reads the headers of the policy's files and nothing else."""
    sft, resources, shape = config.sft, config.resources, model_shape(config.policy.path)
    budget = config.optim.tokens_per_microbatch
    sizes = {
        "rows": sft.path or f"{sft.examples:,} worked solutions of {', '.join(config.problems.families)}",
        "epochs": f"{sft.epochs}",
        "rows held out for validation": f"{sft.validation}",
        "micro-batch": f"at most {budget:,} tokens on each learner, "
        + ("packed without padding" if sft.packing else "one row each"),
    }
    if config.accumulation.kind == "adaptive":
        sizes["optimizer step"] = (
            f"{config.accumulation.low} to {config.accumulation.high} micro-batches, by gradient noise"
        )
    elif sft.batch:
        sizes["optimizer step"] = f"{sft.batch} rows"
        if not sft.path:
            sizes["optimizer steps"] = f"{sft.max_steps or sft.epochs * math.ceil(sft.examples / sft.batch)}"
    else:
        sizes["optimizer step"] = f"{sft.batch_tokens:,} tokens"
    sizes["learners"] = f"{resources.learners} × ZeRO stage {config.zero.stage}, {config.precision.dtype}"
    sizes["policy"] = policy_line(config.policy.path, shape)
    learners = learner_group(resources, sft_budget(config, shape) if shape else None)
    return Plan(sizes=sizes, workers=(learners,))


def sft_budget(config: SFTJobConfig, shape: ModelShape) -> WorkerBudget:
    """One rank, the engine of its examinations included."""
    width = 4 if config.precision.dtype == "float32" else 2
    parts, offloaded = trained_parts(
        shape.params,
        trained_weights(shape, config.policy.lora),
        width=width,
        zero=config.zero,
        ranks=config.resources.learners,
        split=config.parallel.tensor,
    )
    every = config.parallel.checkpoint_layers or int(config.policy.gradient_checkpointing)
    tokens = config.optim.tokens_per_microbatch // config.parallel.sequence
    return WorkerBudget(
        parts={
            "process": PROCESS,
            **parts,
            "activations": tokens * activation_values(shape, every) * width,
            "logits": 2 * min(tokens, config.optim.logits_chunk) * shape.vocab * 4,
            "evaluation": shape.params * (4 if config.policy.dtype == "float32" else 2),
        },
        on_gpu=config.resources.learner_gpus > 0,
        offloaded=offloaded,
    )
