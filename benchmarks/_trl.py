"""TRL's GRPOTrainer, set as r1ray is and called back after every step."""

import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from benchmarks._step import Seconds, Stopwatch
from r1ray.config.jobs import PPOJobConfig
from r1ray.config.policy import PolicyConfig
from r1ray.models.loading import load_policy
from r1ray.reasoning.prompts import chat_messages
from r1ray.types import Problem


def without_end(policy: PolicyConfig) -> tuple[Any, Any]:
    """Model and tokenizer that know no end token."""
    model, tokenizer = load_policy(policy)
    for holder in (tokenizer, model.config, model.generation_config):
        holder.eos_token_id = None
    return model, tokenizer


class TRLSteps:
    """TRL's side: a trainer that runs its steps by itself, and calls back after each."""

    def __init__(
        self,
        config: PPOJobConfig,
        score: Callable[[str], float],
        problems: Sequence[Problem],
        batch_size: int,
        steps: int,
    ) -> None:
        """
        Args:
            config: r1ray's; what TRL has a setting for is set alike.
            score: the reward of a completion's text.
            problems: `prompts_per_step` for each step, in order.
            batch_size: samples of a micro-batch.
            steps: how many the trainer will make.
        """
        model, tokenizer = without_end(config.policy)
        samples = config.ppo.prompts_per_step * config.ppo.samples_per_prompt
        self._folder = tempfile.TemporaryDirectory()
        self.seconds: list[Seconds] = []
        self.grad_norms: list[float] = []
        self.stopwatch = Stopwatch()
        self._trainer = GRPOTrainer(
            model=model,
            processing_class=tokenizer,
            reward_funcs=lambda completions, **_: [score(completion[0]["content"]) for completion in completions],
            train_dataset=Dataset.from_list(
                [{"prompt": chat_messages(problem, config.problems.system)} for problem in problems]
            ),
            args=GRPOConfig(
                output_dir=self._folder.name,
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
                max_steps=steps,
                per_device_train_batch_size=batch_size,
                gradient_accumulation_steps=samples // batch_size,
                num_generations=config.ppo.samples_per_prompt,
                max_completion_length=config.sampling.max_new_tokens,
                shuffle_dataset=False,
                beta=0.0,
                loss_type="dapo",
                scale_rewards="none",
                learning_rate=config.optim.lr,
                lr_scheduler_type="constant",
                weight_decay=config.optim.weight_decay,
                adam_beta1=config.optim.betas[0],
                adam_beta2=config.optim.betas[1],
                adam_epsilon=config.optim.eps,
                max_grad_norm=config.optim.max_grad_norm,
                dataloader_pin_memory=False,
                save_strategy="no",
                logging_steps=1,
                report_to=[],
                disable_tqdm=True,
            ),
        )
        self._trainer.remove_callback(PrinterCallback)
        self._trainer.eos_token_ids = []
        self._trainer.generation_config.eos_token_id = None
        self.stopwatch.watch(self._trainer, {"_generate": "generation"})

    def run(self, after_step: Callable[[int], None]) -> None:
        """Make all steps; `after_step` hears of each, and its time is not counted."""
        self._trainer.add_callback(_Bell(self, after_step))
        try:
            self._trainer.train()
        finally:
            self._folder.cleanup()

    def last_batch(self) -> dict[str, torch.Tensor]:
        """Samples and advantages of the newest step."""
        parts = self._trainer._buffered_inputs
        names = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "advantages")
        return {name: torch.cat([part[name] for part in parts]) for name in names}


class _Bell(TrainerCallback):  # type: ignore[misc]
    """Takes the times of a trainer's steps."""

    def __init__(self, side: TRLSteps, after_step: Callable[[int], None]) -> None:
        self._side, self._after_step, self._start = side, after_step, 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._side.stopwatch.take()
        self._start = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        total = time.perf_counter() - self._start
        phases = self._side.stopwatch.take()
        self._side.seconds.append({**phases, "rest": total - sum(phases.values())})
        self._after_step(len(self._side.seconds) - 1)

    def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
        if "grad_norm" in logs:
            self._side.grad_norms.append(logs["grad_norm"])
