"""A bench over the tiny policy, small enough for a test."""

from pathlib import Path
from typing import Any

from r1ray.config.evaluation import EvaluationConfig
from r1ray.config.jobs import QuantizeJobConfig
from r1ray.config.optim import OptimConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.problems import ProblemsConfig
from r1ray.config.quantize import GateConfig, QuantizeConfig, RecoveryConfig
from r1ray.config.resources import ResourcesConfig
from r1ray.config.run import RunConfig
from r1ray.config.sft import SFTConfig


def tiny_quantize(policy: Path, storage: Path, **changes: Any) -> QuantizeJobConfig:
    """Eight problems, no process of its own; `changes` replace whole groups."""
    settings: dict[str, Any] = {
        "run": RunConfig(storage=str(storage), report=False),
        "policy": PolicyConfig(path=str(policy)),
        "quantize": QuantizeConfig(calibration=8, sensitivity=0),
        "gate": GateConfig(margin=0.9, texts=0, rows=4, mean_kl=0.05),
        "recovery": RecoveryConfig(steps=3, hidden_steps=2, attention_steps=2),
        "problems": ProblemsConfig(families=("chain:1-2",), count=80, heldout=8, max_prompt_tokens=400),
        "sft": SFTConfig(examples=16, validation=4, batch=4),
        "optim": OptimConfig(lr=1e-3, tokens_per_microbatch=1024),
        "evaluation": EvaluationConfig(problems=8, max_new_tokens=6),
        "resources": ResourcesConfig(threads=1),
    }
    return QuantizeJobConfig(**{**settings, **changes})
