"""One GGUF file in three engines: does each say what its numbers say, and how fast?

    python benchmarks/gguf_engines.py --policy runs/quantize/artifacts/gguf-q8_0/model.gguf

transformers computes with the file's numbers in float32 and is the reference. OpenVINO GenAI rounds activations and
its KV cache to 8 bits by default; `openvino exact` asks it not to. Each answers the same held-out problems greedily.
The last line is one JSON object; its value is the share of OpenVINO's answers, as it comes, that are the reference's to
the last token.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report
from r1ray.config.policy import PolicyConfig
from r1ray.config.problems import ProblemsConfig
from r1ray.data.problem_set import build_problem_set
from r1ray.models.loading import load_policy
from r1ray.reasoning.prompts import prompt_ids

EXACT = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0", "KV_CACHE_PRECISION": "f32", "INFERENCE_PRECISION_HINT": "f32"}
Answer = Callable[[list[int]], list[int]]


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    model, tokenizer = load_policy(PolicyConfig(path=args.policy))
    problems = build_problem_set(ProblemsConfig(heldout=args.problems), args.seed).heldout
    prompts = [prompt_ids(tokenizer, problem, "Solve step by step.") for problem in problems[: args.problems]]
    end = int(tokenizer.eos_token_id)

    @torch.inference_mode()
    def reference(ids: list[int]) -> list[int]:
        given = torch.tensor([ids])
        out = model.generate(given, max_new_tokens=args.new_tokens, do_sample=False, eos_token_id=end, pad_token_id=end)
        return [int(token) for token in out[0, len(ids) :]]

    engines: dict[str, Answer] = {"transformers": reference}
    engines["openvino"] = _openvino(args, {}, end)
    engines["openvino exact"] = _openvino(args, EXACT, end)
    answers, speeds = {}, {}
    for name, answer in engines.items():
        answer(prompts[0])  # warm
        answers[name], speeds[name] = _run(answer, prompts)
    shares = {}
    for name, said in answers.items():
        same = [_cut(a, end) == _cut(b, end) for a, b in zip(said, answers["transformers"], strict=True)]
        shares[name] = sum(same) / len(same)
        print(f"{name:16} {speeds[name]:8.1f} tokens/s   {shares[name]:6.1%} of answers as transformers'")
    report(
        "gguf_engines",
        shares["openvino"],
        "share of greedy answers equal to transformers' on the same file",
        0.9,
        1,
        shares={name: round(share, 4) for name, share in shares.items()},
        tokens_per_s={name: round(speed, 1) for name, speed in speeds.items()},
        problems=len(prompts),
    )


def _run(answer: Answer, prompts: Sequence[list[int]]) -> tuple[list[list[int]], float]:
    """Answers, and the median over prompts of tokens per second."""
    said, speeds = [], []
    for ids in prompts:
        started = time.perf_counter()
        said.append(answer(ids))
        speeds.append(len(said[-1]) / (time.perf_counter() - started))
    return said, statistics.median(speeds)


def _cut(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end)] if end in ids else ids


def _openvino(args: argparse.Namespace, properties: dict[str, str], end: int) -> Answer:
    import numpy as np
    import openvino
    import openvino_genai

    pipeline = openvino_genai.LLMPipeline(args.policy, "CPU", {"INFERENCE_NUM_THREADS": args.threads, **properties})
    settings = openvino_genai.GenerationConfig(max_new_tokens=args.new_tokens, do_sample=False, eos_token_id=end)

    def answer(ids: list[int]) -> list[int]:
        given = openvino.Tensor(np.array([ids], dtype=np.int64))
        return [int(token) for token in pipeline.generate(given, settings).tokens[0]]

    return answer


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", required=True, help="a GGUF file")
    parser.add_argument("--problems", type=int, default=40)
    parser.add_argument("--new-tokens", type=int, default=48)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
