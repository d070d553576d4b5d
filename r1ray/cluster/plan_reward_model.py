"""What a reward model job asks for before it starts. No Ray here."""

from r1ray.cluster.budget import BYTES, PROCESS, WorkerBudget, activation_values, trained_parts, trained_weights
from r1ray.cluster.plan import Plan, learner_group, policy_line
from r1ray.cluster.shapes import ModelShape, model_shape
from r1ray.config.jobs import RewardModelJobConfig


def plan_reward_model(config: RewardModelJobConfig) -> Plan:
    """Derive the plan. Reads the headers of the policy's files and nothing else."""
    settings, labels, resources = config.reward_model, config.step_labels, config.resources
    shape = model_shape(config.policy.path)
    sizes = {"kind": settings.kind, "epochs": f"{settings.epochs}", "prompts per optimizer step": f"{settings.batch}"}
    if settings.path:
        sizes["rows"] = settings.path
    else:
        sizes["attempts to learn from"] = (
            f"{labels.problems * labels.samples}  ({labels.problems} problems × {labels.samples} solutions)"
        )
        sizes["attempts to watch and examine on"] = f"{(labels.validation + settings.heldout) * labels.samples}"
        if settings.kind == "process":
            sizes["labels"] = f"{labels.completions} completions of every step's prefix, {labels.kind}, {labels.rule}"
    sizes["micro-batch"] = f"at most {config.optim.tokens_per_microbatch:,} tokens on each learner"
    sizes["learners"] = f"{resources.learners} × ZeRO stage {config.zero.stage}, {config.policy.dtype}"
    sizes["policy"] = policy_line(config.policy.path, shape)
    # Engines and learners take turns, so the larger of both books is what the job needs.
    learners = learner_group(resources, _learner(config, shape) if shape else None)
    return Plan(sizes=sizes, workers=(learners,))


def _learner(config: RewardModelJobConfig, shape: ModelShape) -> WorkerBudget:
    width = BYTES[config.policy.dtype]
    trained = trained_weights(shape, config.policy.lora)
    parts, offloaded = trained_parts(
        shape.params, trained, width=width, zero=config.zero, ranks=config.resources.learners
    )
    values = activation_values(shape, int(config.policy.gradient_checkpointing))
    return WorkerBudget(
        parts={
            "process": PROCESS,
            **parts,
            "activations": config.optim.tokens_per_microbatch * values * width,
        },
        on_gpu=config.resources.learner_gpus > 0,
        offloaded=offloaded,
    )
