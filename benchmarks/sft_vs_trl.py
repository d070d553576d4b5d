"""Tokens a second of supervised fine-tuning: r1ray's loop beside TRL's SFTTrainer.

    python benchmarks/sft_vs_trl.py

Same model, same rows in the same batches, float32, AdamW with the same settings, loss on the response alone, one
process each, taking turns step by step. TRL pads each batch of rows to the longest (its default); the batch is one
micro-batch on either side. Tokens are those of the rows: padding counts for nobody. The losses of both are printed and
must agree to 1 %: both then learn the same. The first steps warm up and are not counted.
"""

import argparse
import statistics
import tempfile
import time
from typing import Any

from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from benchmarks._common import report
from benchmarks._sft import batches, make_loop, one_step, worked_rows
from r1ray.config.optim import OptimConfig
from r1ray.config.policy import PolicyConfig
from r1ray.models.loading import load_policy

WARMUP = 2


class Bell(TrainerCallback):  # type: ignore[misc]
    """After each of TRL's steps, a step of ours; takes the times of both."""

    def __init__(self, ours: Any) -> None:
        self._ours, self._start = ours, 0.0
        self.theirs_seconds: list[float] = []
        self.ours_seconds: list[float] = []
        self.theirs_loss: list[float] = []
        self.ours_loss: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._start = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.theirs_seconds.append(time.perf_counter() - self._start)
        start = time.perf_counter()
        figures = one_step(self._ours)
        self.ours_seconds.append(time.perf_counter() - start)
        self.ours_loss.append(figures["train/loss"])

    def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
        if "loss" in logs:
            self.theirs_loss.append(logs["loss"])


def main() -> None:
    """Train both, print both, report the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="smollm2-135m")
    parser.add_argument("--families", default="chain:2-4", help="of the worked solutions that are learned")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8, help="counted, after two that warm up")
    arguments = parser.parse_args()
    steps = WARMUP + arguments.steps
    rows = worked_rows(arguments.policy, (arguments.families,), arguments.batch * steps)
    plan = batches(rows, arguments.batch)
    optim = OptimConfig(lr=1e-4, tokens_per_microbatch=100_000, logits_chunk=4096)
    policy = PolicyConfig(path=arguments.policy)
    bell = Bell(make_loop(policy, rows, optim, arguments.batch))
    model, tokenizer = load_policy(policy)
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=model,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list(
                [
                    {"input_ids": rows[name].token_ids, "completion_mask": [int(on) for on in rows[name].response_mask]}
                    for ids in plan
                    for name in ids
                ]
            ),
            args=SFTConfig(
                output_dir=folder,
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
                max_steps=steps,
                per_device_train_batch_size=arguments.batch,
                completion_only_loss=True,
                max_length=None,
                train_sampling_strategy="sequential",
                learning_rate=optim.lr,
                lr_scheduler_type="constant",
                weight_decay=optim.weight_decay,
                adam_beta1=optim.betas[0],
                adam_beta2=optim.betas[1],
                adam_epsilon=optim.eps,
                max_grad_norm=optim.max_grad_norm,
                dataloader_pin_memory=False,
                save_strategy="no",
                logging_steps=1,
                report_to=[],
                disable_tqdm=True,
            ),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(bell)
        trainer.train()

    print(f"{'step':>4} {'tokens':>7} {'r1ray s':>8} {'TRL s':>8} {'r1ray loss':>11} {'TRL loss':>9}")
    ratios, ours, theirs = [], [], []
    for step in range(steps):
        tokens = sum(len(rows[name].token_ids) for name in plan[step])
        mine, other = bell.ours_seconds[step], bell.theirs_seconds[step]
        print(
            f"{step:4} {tokens:7} {mine:8.2f} {other:8.2f} {bell.ours_loss[step]:11.4f} {bell.theirs_loss[step]:9.4f}"
        )
        if abs(bell.ours_loss[step] - bell.theirs_loss[step]) > 0.01 * bell.theirs_loss[step] + 1e-3:
            raise SystemExit("The losses disagree: the two do not learn the same, and their speeds say nothing.")
        if step >= WARMUP:
            ratios.append(other / mine)
            ours.append(tokens / mine)
            theirs.append(tokens / other)
    report(
        "sft_vs_trl",
        statistics.median(ratios),
        "times TRL's tokens per second",
        1.2,
        len(ratios),
        r1ray_tokens_per_s=round(statistics.median(ours), 1),
        trl_tokens_per_s=round(statistics.median(theirs), 1),
    )


if __name__ == "__main__":
    main()
