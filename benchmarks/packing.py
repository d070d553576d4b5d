"""Forward and backward of a GRPO update with the prompt of a group computed once, beside once for every sample.

    python benchmarks/packing.py --prompts 4 --samples 8 --prompt-tokens 60 --new-tokens 32

Both sides have the same rollouts, weights, micro-batch budget and loss, and take turns. The last line is one JSON
object; its value is the median over rounds of the ratio of seconds, `max_logprob_delta` and `gradient_delta` (relative,
of all weights together) say how far the two computations are apart.
"""

import argparse
import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import interleave, median_ratio, report
from r1ray.algorithms.packing import PackedBatch, pack, scatter
from r1ray.config.policy import PolicyConfig
from r1ray.models.loading import load_policy
from r1ray.models.policy import Policy

TARGET = 1.8


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    model, _ = load_policy(PolicyConfig(path=args.policy, dtype=args.dtype))
    policy = Policy(model.to(args.device)).train()
    sides = {name: make_batches(args, model.config.vocab_size, name == "shared") for name in ("unshared", "shared")}
    for name, batches in sides.items():
        print(f"{name:8s} tokens of each micro-batch: {[len(b.input_ids) for b in batches]}")
    results = {name: run(policy, batches, args.prompts * args.samples) for name, batches in sides.items()}
    logprob_delta, gradient_delta = distance(*results.values())
    del results
    seconds = interleave(
        {name: lambda batches=batches: run(policy, batches, 0) for name, batches in sides.items()}, args.repeats
    )
    for name, times in seconds.items():
        print(f"{name:8s} seconds: {', '.join(f'{s:.2f}' for s in times)}")
    report(
        "packing",
        median_ratio(seconds["unshared"], seconds["shared"]),
        "x the speed of forward and backward with unshared prompts",
        TARGET,
        args.repeats,
        max_logprob_delta=logprob_delta,
        gradient_delta=gradient_delta,
        settings=f"{args.policy} {args.dtype}, {args.prompts} problems x {args.samples} samples, "
        f"{args.prompt_tokens} + {args.new_tokens} tokens, {args.tokens_per_microbatch} tokens a micro-batch",
    )


def make_batches(args: argparse.Namespace, vocabulary: int, share_prompt: bool) -> list[PackedBatch]:
    """Random rollouts, the same for both sides; their lengths vary by a quarter."""
    generator = torch.Generator().manual_seed(0)

    def tokens(most: int) -> list[int]:
        length = int(torch.randint(max(1, most - most // 4), most + 1, (), generator=generator))
        return torch.randint(vocabulary, (length,), generator=generator).tolist()

    prompts = [tokens(args.prompt_tokens) for _ in range(args.prompts)]
    group = [problem for problem in range(args.prompts) for _ in range(args.samples)]
    batches = pack(
        [prompts[problem] for problem in group],
        [tokens(args.new_tokens) for _ in group],
        group=group,
        max_tokens=args.tokens_per_microbatch,
        share_prompt=share_prompt,
    )
    return [batch.to(args.device) for batch in batches]


def run(policy: nn.Module, batches: list[PackedBatch], rollouts: int) -> tuple[Tensor, list[Tensor]]:
    """One pass forward and backward; log-probs (of `rollouts` rows; 0 = not kept) and the gradient."""
    policy.zero_grad()
    width = 1 + max(int(batch.token.max()) for batch in batches)
    logprobs = torch.zeros(rollouts, width, device=batches[0].input_ids.device)
    for batch in batches:
        output = policy(batch)
        (output.logprobs * (1 + batch.token % 3)).sum().backward()  # weights, so that no two tokens could be exchanged
        if rollouts:
            logprobs += scatter(output.logprobs.detach(), batch, rollouts, width)
    gradients = [p.grad.clone() for p in policy.parameters() if p.grad is not None] if rollouts else []
    return logprobs, gradients


def distance(one: tuple[Tensor, list[Tensor]], other: tuple[Tensor, list[Tensor]]) -> tuple[float, float]:
    """Largest difference of log-probs, and the relative difference of the gradients."""
    apart = sum(float((a.double() - b.double()).square().sum()) for a, b in zip(one[1], other[1], strict=True))
    size = sum(float(a.double().square().sum()) for a in one[1])
    return float((one[0] - other[0]).abs().max()), (apart / size) ** 0.5


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--policy", default="smollm2-135m")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--prompt-tokens", type=int, default=60)
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--tokens-per-microbatch", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
