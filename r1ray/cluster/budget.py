"""How much memory a worker is thought to need, part by part.

Estimates from sizes alone, meant to be a little low rather than high: what they say does not fit does not fit.
"""

from dataclasses import dataclass

from r1ray.cluster.shapes import ModelShape, model_shape
from r1ray.config.jobs import PPOJobConfig
from r1ray.config.optim import ZeroConfig
from r1ray.config.policy import LoraConfig

PROCESS = 600 * 2**20
"""A Python process with torch and Ray in it."""

BYTES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerBudget:
    """Bytes of one worker, by what they hold."""

    parts: dict[str, int]
    on_gpu: bool
    """Whether all but the process itself (and what is offloaded) lies in GPU memory."""
    offloaded: int = 0
    """Bytes among `parts` that stay in main memory although the worker has a GPU."""

    @property
    def total(self) -> int:
        """Everything together."""
        return sum(self.parts.values())

    @property
    def host(self) -> int:
        """Main memory."""
        return self.parts["process"] + self.offloaded if self.on_gpu else self.total


def trained_parts(
    held: int, trained: int, *, width: int, zero: ZeroConfig, ranks: int, split: int = 1
) -> tuple[dict[str, int], int]:
    """Weights, gradients and optimizer of one rank under ZeRO (arXiv 1910.02054, section 3: what each stage shards), in
    bytes, and how many of them are offloaded.

    Args:
        held, trained: how many weights there are, and how many of them learn.
        width: bytes of a weight in the forward pass.
        zero: stage and offload.
        ranks: of the learner group.
        split: how many of them share each matrix.
    """
    replicas = ranks // split
    # Adam's two moments in float32, and a float32 copy of the weights where they are of two bytes.
    optimizer = trained * (8 if width == 4 else 12) // split // (replicas if zero.stage >= 1 else 1)
    weights = held * width // split // (replicas if zero.stage >= 3 else 1)
    gradients = trained * width // split // (replicas if zero.stage >= 2 else 1)
    offloaded = {"none": 0, "optimizer": optimizer, "all": optimizer + weights}[zero.offload]
    return {"weights": weights, "gradients": gradients, "optimizer": optimizer}, offloaded


def trained_weights(shape: ModelShape, lora: LoraConfig) -> int:
    """How many learn: all, or the adapters."""
    return shape.adapter_params(lora.rank, lora.targets) if lora.rank else shape.params


def learner_budget(config: PPOJobConfig, shape: ModelShape) -> WorkerBudget:
    """One rank of the learner group."""
    width, lora = BYTES[config.policy.dtype], config.policy.lora
    held, trained = shape.params, trained_weights(shape, lora)
    if config.critic.kind == "model":
        held += shape.params
        trained += trained_weights(shape, config.critic.lora)
    parts, offloaded = trained_parts(held, trained, width=width, zero=config.zero, ranks=config.resources.learners)
    # In full training the reference is a second copy of the policy; under LoRA it is the policy without its adapters.
    reference = shape.params * width if config.ppo.needs_reference and not lora.rank else 0
    tokens = config.optim.tokens_per_microbatch
    return WorkerBudget(
        parts={
            "process": PROCESS,
            **parts,
            "reference": reference,
            "activations": tokens * activation_values(shape, int(config.policy.gradient_checkpointing)) * width,
            "logits": 2 * min(tokens, config.optim.logits_chunk) * shape.vocab * 4,
        },
        on_gpu=config.resources.learner_gpus > 0,
        offloaded=offloaded,
    )


def rollout_budget(config: PPOJobConfig, shape: ModelShape) -> WorkerBudget:
    """One generation worker: weights, the cache of all rows at full length, one row of logits each."""
    width = BYTES[config.policy.dtype]
    rows = min(config.engine.max_rows, config.ppo.prompts_per_step * config.ppo.samples_per_prompt)
    prompts = -(-rows // config.ppo.samples_per_prompt)  # the samples of a problem share its prompt's cache
    tokens = rows * config.sampling.max_new_tokens + prompts * config.problems.max_prompt_tokens
    return WorkerBudget(
        parts={
            "process": PROCESS,
            "weights": shape.params * width,
            "KV cache": tokens * 2 * shape.layers * shape.kv_width * width,
            "logits": rows * shape.vocab * 4,
        },
        on_gpu=config.resources.rollout_gpus > 0,
    )


def reward_budget(config: PPOJobConfig) -> WorkerBudget | None:
    """One reward worker: a process, and a process reward model where one is configured."""
    model = 0
    if config.reward.process_path:
        shape = model_shape(config.reward.process_path)
        if shape is None:
            return None
        model = shape.params * 4
    return WorkerBudget(parts={"process": PROCESS, "process model": model}, on_gpu=config.resources.reward_gpus > 0)


def activation_values(shape: ModelShape, checkpoint_every: int = 0) -> int:
    """Values kept per token for the backward pass (arXiv 2205.05198, section 4, less attention's square part).

    With checkpoints every k layers: their inputs, and one group of k layers that is being recomputed.
    """
    layer = 8 * shape.hidden + 2 * shape.query_width + 2 * shape.kv_width + 4 * shape.intermediate
    if checkpoint_every:
        return -(-shape.layers // checkpoint_every) * shape.hidden + checkpoint_every * layer
    return shape.layers * layer
