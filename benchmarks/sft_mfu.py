"""Model-FLOPs utilisation of supervised training on one GPU: a Llama of about 1.1 B random weights, bfloat16, packed
rows, cross-entropy straight from hidden states.

    python benchmarks/sft_mfu.py                 # --no-compile where no C compiler is at hand

Plain PyTorch and transformers, without Ray and DeepSpeed. FLOPs of the model, not of the machine: 6 a weight and token
(the embedding, which is looked up, left out) and 6 · layers · width · row length for the lower triangle of attention;
what is computed twice counts once. An optimizer step is `--microbatches` passes of `--tokens` tokens. The peak is that
of dense bfloat16 as the maker states it.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks._common import report
from benchmarks._llama import llama_shape, random_rows
from r1ray.config.optim import OptimConfig
from r1ray.models.activation_checkpointing import checkpoint_layers
from r1ray.models.compiled import compile_layers
from r1ray.models.policy import Policy
from r1ray.train.plain import TorchEngine
from r1ray.train.sft import SFTObjective

PEAK = {"H200": 989e12, "H100": 989e12, "A100": 312e12}
"""Dense bfloat16 FLOP/s (SXM)."""


def flops_per_token(config: LlamaConfig, weights: int, length: int) -> float:
    """Of forward and backward pass."""
    embedding = config.vocab_size * config.hidden_size
    attention = 6 * config.num_hidden_layers * config.hidden_size * length
    return 6.0 * (weights - embedding) + attention


def profiled(step: Callable[[], float]) -> None:
    """Print what a step's time on the GPU (on a machine without one, the CPU) goes into, by kernel."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        step()
    order = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    print(profile.key_averages().table(sort_by=order, row_limit=40, max_name_column_width=90))


def main() -> None:
    """Train on random rows, report the median over steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=16_384, help="of a micro-batch")
    parser.add_argument("--length", type=int, default=2048, help="of a row")
    parser.add_argument("--microbatches", type=int, default=4)
    parser.add_argument("--steps", type=int, default=8, help="counted, after three that warm up")
    parser.add_argument("--checkpoint-layers", type=int, default=0)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--profile", action="store_true", help="of one more step, by kernel")
    parser.add_argument("--small", action="store_true", help="a toy, to try the script")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = llama_shape("toy" if arguments.small else "tinyllama-1.1b")
    torch.manual_seed(0)
    with torch.device(device):
        model = LlamaForCausalLM(config)
    weights = sum(parameter.numel() for parameter in model.parameters())
    if not arguments.no_compile:
        compile_layers(model)
    if arguments.checkpoint_layers:
        checkpoint_layers(model, arguments.checkpoint_layers)
    optim = OptimConfig(lr=1e-5, tokens_per_microbatch=arguments.tokens, logits_chunk=arguments.tokens)
    steps = arguments.steps + 3
    engine = TorchEngine(Policy(model), optim, total_steps=steps, device=device, dtype="bfloat16")
    engine.module.train()

    rows = random_rows(
        arguments.tokens // arguments.length * arguments.microbatches, arguments.length, config.vocab_size
    )
    objective = SFTObjective(rows, tokens_per_microbatch=arguments.tokens, logits_chunk=arguments.tokens)
    batches = objective.microbatches(list(rows))
    total = sum(map(objective.count, batches))
    print(f"{weights / 1e9:.2f} B weights, {len(batches)} micro-batches of {arguments.tokens} tokens a step")

    def train_step() -> float:
        summed = torch.zeros((), device=device)
        for batch in batches:
            loss, _ = objective.loss(engine, batch)
            engine.backward(loss / total)
            summed += loss.detach()
        engine.step()
        return float(summed) / total  # which waits for the device

    seconds = []
    for step in range(steps):
        start = time.perf_counter()
        loss = train_step()
        seconds.append(time.perf_counter() - start)
        print(f"step {step}: {seconds[-1]:.3f} s, loss {loss:.4f}", flush=True)
    if arguments.profile:
        profiled(train_step)
    per_second = arguments.tokens * len(batches) / statistics.median(seconds[3:])
    peak = next((v for k, v in PEAK.items() if device == "cuda" and k in torch.cuda.get_device_name()), 0.0)
    flops = per_second * flops_per_token(config, weights, arguments.length)
    memory = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else float("nan")
    print(f"{per_second:,.0f} tokens/s, {flops / 1e12:.1f} TFLOP/s, {memory:.1f} GiB")
    report(
        "sft_mfu",
        flops / peak if peak else 0.0,
        "of the peak FLOP/s",
        0.45,
        arguments.steps,
        tokens_per_s=round(per_second),
        tflops=round(flops / 1e12, 1),
    )


if __name__ == "__main__":
    main()
