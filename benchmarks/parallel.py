"""What two ranks make of one model: data parallel, tokens shared (Ulysses), matrices shared (AutoTP), on DeepSpeed.

    python benchmarks/parallel.py            # two GPUs if there are two, else two CPU processes
    python benchmarks/parallel.py --small    # a toy, to try the script

Every way trains the same rows for the same steps, and so does one process without DeepSpeed; the losses must agree. For
each way: largest relative difference of a step's loss, tokens/s, and the highest memory of a rank. The last line's
value is that difference, the largest of all ways.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks._common import report
from benchmarks._llama import llama_shape, random_rows
from r1ray.config.optim import OptimConfig, ZeroConfig
from r1ray.data.row_order import RowOrder
from r1ray.metrics.reductions import Metric
from r1ray.models.policy import Policy
from r1ray.train.controls import LoopConfig
from r1ray.train.loop import SupervisedLoop
from r1ray.train.plain import TorchEngine
from r1ray.train.sft import SFTObjective
from r1ray.train.zero import ZeroEngine

WAYS = {
    "data, stage 0": (0, 1, 1),
    "data, stage 2": (2, 1, 1),
    "tokens shared, stage 2": (2, 2, 1),
    "matrices shared, stage 2": (2, 1, 2),
}
"""ZeRO stage, ranks that share tokens, ranks that share matrices. The last way leaves DeepSpeed's groups behind."""


def shape(arguments: argparse.Namespace) -> LlamaConfig:
    """Some layers of a 1.1 B model, or a toy."""
    return llama_shape("toy") if arguments.small else llama_shape("tinyllama-1.1b", num_hidden_layers=arguments.layers)


def train(arguments: argparse.Namespace, make: Any, device: torch.device, sequence: int = 1, tensor: int = 1) -> Any:
    """Losses, tokens/s and highest memory of one way."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(shape(arguments))
    rows = random_rows(arguments.rows * arguments.steps, arguments.length, model.config.vocab_size)
    optim = OptimConfig(lr=1e-4, tokens_per_microbatch=arguments.length * arguments.rows // 2, logits_chunk=8192)
    config = LoopConfig(
        seed=0,
        optim=optim,
        batch=arguments.rows,
        ranks_a_row=sequence * tensor,
        copies=tensor,
        max_steps=arguments.steps,
    )
    engine = make(Policy(model), optim, total_steps=arguments.steps, device=device)
    objective = SFTObjective(
        rows,
        tokens_per_microbatch=optim.tokens_per_microbatch,
        logits_chunk=optim.logits_chunk,
        share=(engine.rank % sequence, sequence),
    )
    losses: list[float] = []
    seconds: list[float] = []
    started = time.perf_counter()

    def note(step: int, metrics: dict[str, Metric]) -> bool:
        nonlocal started
        losses.append(metrics["train/loss"].value)
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
        return True

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    order = RowOrder(dict.fromkeys(rows, arguments.length), seed=0)
    SupervisedLoop(engine, objective, order, config).run(note)
    memory = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else float("nan")
    return losses, arguments.rows * arguments.length / statistics.median(seconds[1:]), memory


def rank_of_two(rank: int, arguments: argparse.Namespace, folder: str) -> None:
    """Every way as one of two ranks; rank 0 leaves the figures."""
    on_gpus = torch.cuda.device_count() >= 2
    device = torch.device("cuda", rank) if on_gpus else torch.device("cpu")
    if on_gpus:
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(1)
    backend = "nccl" if on_gpus else "gloo"
    dist.init_process_group(backend, init_method=f"file://{folder}/store", rank=rank, world_size=2)
    found = {}
    for name, (stage, sequence, tensor) in WAYS.items():

        def make(*args: Any, stage: int = stage, sequence: int = sequence, tensor: int = tensor, **kwargs: Any) -> Any:
            zero = ZeroConfig(stage=stage)
            return ZeroEngine(*args, zero, dtype=arguments.dtype, sequence=sequence, tensor=tensor, **kwargs)

        found[name] = train(arguments, make, device, sequence, tensor)
    if rank == 0:
        Path(folder, "found.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


def main() -> None:
    """Train each way, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=8, help="of a 1.1 B shape's 22")
    parser.add_argument("--rows", type=int, default=16, help="of a step")
    parser.add_argument("--length", type=int, default=1024, help="of a row")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--small", action="store_true", help="a toy, to try the script")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def alone(*args: Any, **kwargs: Any) -> TorchEngine:
        return TorchEngine(*args, dtype=arguments.dtype, **kwargs)

    losses, speed, memory = train(arguments, alone, device)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    with tempfile.TemporaryDirectory() as folder:
        spawn(rank_of_two, args=(arguments, folder), nprocs=2)
        found = json.loads(Path(folder, "found.json").read_text())
    print(f"{'':26} {'loss differs':>12} {'tokens/s':>10} {'GiB a rank':>10}")
    print(f"{'one process':26} {'':12} {speed:10,.0f} {memory:10.2f}   last loss {losses[-1]:.4f}")
    worst = 0.0
    for name, (others, speed, memory) in found.items():
        differs = max(abs(a - b) / b for a, b in zip(others, losses, strict=True))
        worst = max(worst, differs)
        print(f"{name:26} {differs:12.1e} {speed:10,.0f} {memory:10.2f}")
    target = 1e-4 if arguments.dtype == "float32" else 2e-2
    report("parallel", worst, "largest relative difference of a loss", target, arguments.steps, dtype=arguments.dtype)


if __name__ == "__main__":
    main()
