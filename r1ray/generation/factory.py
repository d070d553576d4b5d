"""From configuration to a generation engine."""

from dataclasses import replace

import torch

from r1ray.config.policy import LoraConfig, PolicyConfig
from r1ray.config.resources import EngineConfig
from r1ray.generation.engine import GenerationEngine
from r1ray.generation.transformers_engine import TransformersEngine
from r1ray.models.loading import load_policy, resolve_model


def make_engine(engine: EngineConfig, policy: PolicyConfig, device: torch.device | str) -> GenerationEngine:
    """The engine that `engine.kind` names, holding the policy's weights on `device`; they are version 0.

    Adapters are the trainer's affair: the engine holds plain weights, and `load_weights` brings merged ones.
    Raises `ModelError` if the policy cannot be loaded, `ConfigError` if the engine's library is not installed.
    """
    device = torch.device(device)
    if engine.kind == "vllm":
        from r1ray.generation.vllm_engine import VLLMEngine  # an extra, imported only where it is asked for

        return VLLMEngine(
            resolve_model(policy.path),
            dtype=policy.dtype,
            device=device,
            max_rows=engine.max_rows,
            memory=engine.memory,
        )
    model, tokenizer = load_policy(replace(policy, lora=LoraConfig(), gradient_checkpointing=False, compile=False))
    return TransformersEngine(model.to(device).eval(), tokenizer, max_rows=engine.max_rows)  # type: ignore[arg-type]
