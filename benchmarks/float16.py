"""Half precision with dynamic loss scaling against float32, on DeepSpeed ZeRO 2: same model, rows and steps on one GPU.

    python benchmarks/float16.py        # DeepSpeed demands fp16 units: a GPU

The scale begins so high that the first steps overflow and are skipped, and is doubled after every `--window` steps that
do not: the table shows it going down and up again. bfloat16, which needs no scale, is there to compare. The last line's
value is the relative difference of float16's mean loss over the last five steps from float32's.
"""

import argparse
import itertools
import statistics
import tempfile

import torch
import torch.distributed as dist
from transformers import LlamaForCausalLM

from benchmarks._common import report
from benchmarks._llama import llama_shape, random_rows
from r1ray.config.optim import OptimConfig, ZeroConfig
from r1ray.config.sft import PrecisionConfig
from r1ray.data.row_order import RowOrder
from r1ray.metrics.reductions import Metric
from r1ray.models.policy import Policy
from r1ray.train.controls import LoopConfig
from r1ray.train.loop import SupervisedLoop
from r1ray.train.sft import SFTObjective
from r1ray.train.zero import ZeroEngine


def train(dtype: str, arguments: argparse.Namespace) -> list[dict[str, float]]:
    """Loss, norm and scale of each step."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(llama_shape("smollm2-135m", vocab_size=1024))
    rows = random_rows(64, 256, 1024)
    optim = OptimConfig(lr=3e-4, tokens_per_microbatch=4096)
    precision = PrecisionConfig(dtype=dtype, initial_scale_power=arguments.power, scale_window=arguments.window)
    zero = ZeroConfig(stage=2)
    engine = ZeroEngine(
        Policy(model), optim, zero, dtype=dtype, total_steps=arguments.steps, device="cuda", precision=precision
    )
    objective = SFTObjective(rows, tokens_per_microbatch=4096, logits_chunk=4096)
    order = RowOrder(dict.fromkeys(rows, 256), seed=0)
    config = LoopConfig(seed=0, optim=optim, batch=16, epochs=arguments.steps, max_steps=arguments.steps)
    figures: list[dict[str, float]] = []

    def note(step: int, metrics: dict[str, Metric]) -> bool:
        figures.append({key: metric.value for key, metric in metrics.items()})
        return True

    SupervisedLoop(engine, objective, order, config).run(note)
    return figures


def main() -> None:
    """Train in each precision, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--power", type=int, default=24, help="the first scale is 2 to it")
    parser.add_argument("--window", type=int, default=10, help="steps without overflow after which the scale doubles")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("This needs a CUDA device: DeepSpeed refuses float16 on a CPU.")
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group("nccl", init_method=f"file://{folder}/store", rank=0, world_size=1)
        found = {dtype: train(dtype, arguments) for dtype in ("float32", "bfloat16", "float16")}
        dist.destroy_process_group()
    print(f"{'step':>4} " + " ".join(f"{dtype:>9}" for dtype in found) + f" {'norm (float16)':>15} {'scale':>12}")
    for step, rows in enumerate(zip(*found.values(), strict=True), start=1):
        losses = " ".join(f"{row['train/loss']:9.4f}" for row in rows)
        half = rows[-1]
        print(f"{step:4} {losses} {half['optim/grad_norm']:15.3f} {half['optim/loss_scale']:12.0f}")
    last = {dtype: statistics.mean(row["train/loss"] for row in rows[-5:]) for dtype, rows in found.items()}
    scales = [row["optim/loss_scale"] for row in found["float16"]]
    report(
        "float16",
        abs(last["float16"] - last["float32"]) / last["float32"],
        "relative difference of the last losses",
        0.02,
        1,
        scale_lowest=min(scales),
        scale_last=scales[-1],
        halved=sum(after < before for before, after in itertools.pairwise(scales)),
        doubled=sum(after > before for before, after in itertools.pairwise(scales)),
    )


if __name__ == "__main__":
    main()
