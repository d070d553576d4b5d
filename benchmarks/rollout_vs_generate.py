"""Rollouts by the embedded engine beside `model.generate`, same model, prompts, samples and new tokens, in one process.

    python benchmarks/rollout_vs_generate.py --prompts 32 --samples 4 --new-tokens 64

`generate` runs once at each batch size; the best one then takes turns with the engine. No side may stop early: end
tokens are switched off. The engine returns the log-prob of every token as well, which `generate` is not asked for.
The last line is one JSON object; its value is the median over rounds of the ratio of tokens per second, and
`max_logprob_delta` compares the engine's log-probs with a plain forward of the model.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import interleave, median_ratio, report
from r1ray.config.policy import PolicyConfig
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.generation.transformers_engine import TransformersEngine
from r1ray.models.loading import load_policy
from r1ray.types import Completion

TARGET = 2.0


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    model, tokenizer = load_policy(PolicyConfig(path=args.policy, dtype=args.dtype))
    model = model.to(args.device).eval()
    for holder in (tokenizer, model.config, model.generation_config):
        holder.eos_token_id = None  # neither side may stop early
    prompts = make_prompts(tokenizer, args.prompts, args.samples)
    new_tokens = args.prompts * args.samples * args.new_tokens
    settings = f"{args.policy} {args.dtype}, {args.prompts} prompts x {args.samples} samples x {args.new_tokens} tokens"
    params = SamplingParams(max_new_tokens=args.new_tokens, temperature=0.0 if args.greedy else 1.0)
    engine = TransformersEngine(model, tokenizer, max_rows=args.max_rows)

    def ours() -> list[list[Completion]]:
        return engine.generate(prompts, params)

    def generate(batch_size: int) -> None:
        run_generate(model, prompts, batch_size, args.new_tokens, greedy=args.greedy)

    sweep = {
        size: interleave({"generate": lambda size=size: generate(size)}, 1, warmup=False)["generate"][0]
        for size in args.batch_sizes
    }
    for size, seconds in sweep.items():
        print(f"generate, batch {size:3d}: {new_tokens / seconds:7.1f} tokens/s")
    best = min(sweep, key=sweep.__getitem__)
    seconds = interleave({"generate": lambda: generate(best), "engine": ours}, args.repeats)
    for name, times in seconds.items():
        print(f"{name:9s} tokens/s: {', '.join(f'{new_tokens / s:.1f}' for s in times)}")
    report(
        "rollout_vs_generate",
        median_ratio(seconds["generate"], seconds["engine"]),
        "x tokens/s of model.generate",
        TARGET,
        args.repeats,
        generate_batch=best,
        engine_rows=args.max_rows,
        max_logprob_delta=max_logprob_delta(model, prompts[:4], ours()[:4]),
        settings=settings + (", greedy" if args.greedy else ", sampled"),
    )


def make_prompts(tokenizer: Any, count: int, samples: int) -> list[Prompt]:
    """Chat prompts of about sixty tokens and slightly different lengths."""
    names = ("Mia", "Alexander", "Jo", "Priscilla", "Tom")
    prompts = []
    for i in range(count):
        question = (
            f"{names[i % 5]} has {i + 3} eggs. {names[i % 5]} gets {17 * i % 89 + 2} more and then gives {i % 3 + 1} "
            f"away. How many eggs does {names[i % 5]} have now? Think step by step."
        )
        chat = [{"role": "user", "content": question}]
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        prompts.append(Prompt(token_ids=list(ids), samples=samples, seed=i))
    return prompts


@torch.inference_mode()
def run_generate(model: Any, prompts: list[Prompt], batch_size: int, new_tokens: int, *, greedy: bool) -> None:
    """All samples of all prompts through `model.generate`, left-padded, neighbours in one batch."""
    rows = [prompt.token_ids for prompt in prompts for _ in range(prompt.samples)]
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        longest = max(map(len, batch))
        ids = torch.tensor([[0] * (longest - len(row)) + row for row in batch], device=model.device)
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in batch], device=model.device)
        sampling = {"do_sample": False} if greedy else {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
        out = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=new_tokens, pad_token_id=0, **sampling)
        assert out.shape[1] == longest + new_tokens, "generate stopped early"


@torch.inference_mode()
def max_logprob_delta(model: Any, prompts: list[Prompt], results: list[list[Completion]]) -> float:
    """Largest distance between the engine's log-probs and those of the model's own forward."""
    largest = 0.0
    for prompt, group in zip(prompts, results, strict=True):
        for completion in group:
            ids = torch.tensor([prompt.token_ids + completion.token_ids], device=model.device)
            expected = model(ids).logits[0, len(prompt.token_ids) - 1 : -1].float().log_softmax(-1)
            chosen = expected.gather(-1, ids[0, len(prompt.token_ids) :, None]).squeeze(-1).cpu()
            largest = max(largest, float((chosen - torch.tensor(completion.logprobs)).abs().max()))
    return largest


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--policy", default="smollm2-135m")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--max-rows", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--greedy", action="store_true", help="no sampling on either side")
    return parser.parse_args()


if __name__ == "__main__":
    main()
