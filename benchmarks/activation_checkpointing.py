"""Memory and time of a training step for activation checkpoints every k layers.

    python benchmarks/activation_checkpointing.py

Each k runs in a process of its own, whose highest resident memory counts (on a GPU, the highest allocated memory): what
the process held before its first step is taken off, gradients and optimizer are the same for all. Times are medians
over steps. The last line's value is the share of k = 0's step memory that the best k still needs.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch
from transformers import LlamaForCausalLM

from benchmarks._common import report
from benchmarks._llama import llama_shape, random_rows
from r1ray.config.optim import OptimConfig
from r1ray.data.encoding import TokenRow
from r1ray.models.activation_checkpointing import checkpoint_layers
from r1ray.models.policy import Policy
from r1ray.train.plain import TorchEngine
from r1ray.train.sft import SFTObjective


def measure(every: int, tokens: int, steps: int) -> dict[str, float]:
    """Bytes that a step needs beyond what lasts, and its seconds."""
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shape = llama_shape("smollm2-135m", vocab_size=1024)  # its own vocabulary's logits would hide the rest
    model = LlamaForCausalLM(shape)
    if every:
        checkpoint_layers(model, every)
    dtype = "bfloat16" if device == "cuda" else "float32"
    engine = TorchEngine(Policy(model), OptimConfig(), total_steps=steps + 1, device=device, dtype=dtype)
    engine.module.train()
    rows = random_rows(tokens // 512, 512, shape.vocab_size)
    objective = SFTObjective(rows, tokens_per_microbatch=tokens, logits_chunk=512)

    def step(names: list[str]) -> float:
        start = time.perf_counter()
        for batch in objective.microbatches(names):
            loss, _ = objective.loss(engine, batch)
            engine.backward(loss / objective.count(batch))
        engine.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    one = TokenRow(token_ids=[1, 2, 3], response_mask=[False, True, True])
    objective._rows = {**rows, "one": one}
    step(["one"])  # gradients and moments exist from here on
    before = held(device)
    seconds = [step(list(rows)) for _ in range(steps)]
    return {"bytes": held(device) - before, "seconds": statistics.median(seconds)}


def held(device: str) -> float:
    """Most bytes that this process has held so far."""
    if device == "cuda":
        return float(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def main() -> None:
    """Measure each k, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, nargs="+", default=[0, 1, 2, 4, 8, 15])
    parser.add_argument("--tokens", type=int, default=2048, help="of the micro-batch, in rows of 512")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone is not None:
        print(json.dumps(measure(arguments.alone, arguments.tokens, arguments.steps)))
        return
    found: dict[int, dict[str, float]] = {}
    for every in arguments.every:
        command = [sys.executable, __file__, "--alone", str(every)]
        command += ["--tokens", str(arguments.tokens), "--steps", str(arguments.steps)]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        found[every] = json.loads(ended.stdout.splitlines()[-1])
    plain = found[arguments.every[0]]
    print(f"{'k':>3} {'step memory':>12} {'of k=0':>7} {'seconds':>8} {'of k=0':>7}")
    for every, one in found.items():
        share, slower = one["bytes"] / plain["bytes"], one["seconds"] / plain["seconds"]
        print(f"{every:3} {one['bytes'] / 2**20:8.0f} MiB {share:7.2f} {one['seconds']:8.2f} {slower:7.2f}")
    best = min((every for every in found if every), key=lambda every: found[every]["bytes"])
    report(
        "activation_checkpointing",
        found[best]["bytes"] / plain["bytes"],
        "of the step memory without checkpoints",
        0.5,
        arguments.steps,
        k=best,
        time=round(found[best]["seconds"] / plain["seconds"], 3),
    )


if __name__ == "__main__":
    main()
