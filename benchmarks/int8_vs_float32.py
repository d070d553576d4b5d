"""Decoding in 8 bits beside float32 on this CPU, same model, prompts and new tokens, in one process.

    python benchmarks/int8_vs_float32.py --policy runs/ppo

The contenders take turns: transformers' `generate` in float32 (the base), the same after torch's dynamic int8
quantization, and r1ray's serving engine (OpenVINO's kernels) with float32 weights and on a Q8_0 and a Q4_0 file that is
written here from the same weights. The last line is one JSON object; its value is the median over rounds of the Q8_0
file's tokens per second over transformers' in float32. Accuracy is the gate's business (`jobs/quantize.py`).
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import interleave, median_ratio, report
from benchmarks.gguf_artifacts import answer
from r1ray.config.policy import PolicyConfig
from r1ray.config.serve import ServeEngineConfig
from r1ray.generation.paged.factory import make_iteration_engine
from r1ray.models.gguf_writer import write_gguf
from r1ray.models.loading import load_policy, resolve_model

TARGET = 3.1
"""What the literature claims for INT8 on CPUs."""
QUESTION = "Tom has 12 apples, buys 30 more and gives 7 away. How many apples does he have?"


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    model, tokenizer = load_policy(PolicyConfig(path=args.policy))
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], add_generation_prompt=True, tokenize=False
    )
    ids = torch.tensor([tokenizer.encode(str(text), add_special_tokens=False)] * args.batch)
    contenders: dict[str, Callable[[], Any]] = {"float32": _generate(model, ids, args.new_tokens)}
    quantized = torch.ao.quantization.quantize_dynamic(_float32(args.policy), {torch.nn.Linear}, dtype=torch.qint8)
    contenders["torch int8"] = _generate(quantized, ids, args.new_tokens)
    contenders["served float32"] = _served(args.policy, ids, args)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("q8_0", "q4_0"):
            file = Path(folder) / f"{name}.gguf"
            write_gguf(resolve_model(args.policy), file, name)
            contenders[f"served {name}"] = _served(str(file), ids, args)
        seconds = interleave(contenders, args.repeats)
    tokens = args.batch * args.new_tokens
    ratios = {name: median_ratio(seconds["float32"], taken) for name, taken in seconds.items()}
    for name, taken in seconds.items():
        print(f"{name:14} {tokens / statistics.median(taken):8.1f} tokens/s   {ratios[name]:5.2f} x float32")
    report(
        "int8_vs_float32",
        ratios["served q8_0"],
        f"tokens per second of a served Q8_0 file over transformers' float32, batch {args.batch}",
        TARGET,
        args.repeats,
        ratios={name: round(ratio, 3) for name, ratio in ratios.items()},
    )


def _float32(policy: str) -> Any:
    return load_policy(PolicyConfig(path=policy))[0]


def _generate(model: Any, ids: torch.Tensor, new_tokens: int) -> Callable[[], Any]:
    model = model.eval()

    @torch.inference_mode()
    def run() -> Any:
        return model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens,
            do_sample=False,
            pad_token_id=0,
        )

    return run


def _served(policy: str, ids: torch.Tensor, args: argparse.Namespace) -> Callable[[], Any]:
    config = ServeEngineConfig(kind="openvino", threads=args.threads, prefix_cache=False)
    engine, _ = make_iteration_engine(config, PolicyConfig(path=policy))
    return lambda: answer(engine, ids.tolist(), args.new_tokens, ignore_end=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="smollm2-135m", help="anything that policy.path takes")
    parser.add_argument("--batch", type=int, default=1, help="prompts side by side")
    parser.add_argument("--new-tokens", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args()


if __name__ == "__main__":
    main()
