"""Which artifacts of a quantization vLLM loads, and whether it says what transformers says.

    python benchmarks/vllm_artifacts.py runs/q/artifacts/* --dtype float16

Each artifact is loaded by vLLM in a process of its own, and answers the same held-out problems greedily; transformers'
answers come from the same folder on the same device. The last line is one JSON object; its value is the share of
artifacts that vLLM loaded. float16, because vLLM's 4-bit kernels for rows that are no multiple of 128 (SmolLM2-135M's
have 576) know no bfloat16.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report

QUESTIONS = 64
TOKENS = 64


def main() -> None:
    args = _arguments()
    folders = [Path(name) for name in args.artifacts if (Path(name) / "config.json").exists()]
    found = {folder.name: _in_a_process(folder, args) for folder in folders}
    for name, one in found.items():
        told = one.get("error") or f"{one['tokens_per_s']:.0f} tokens/s, {one['same']:.1%} of answers as transformers'"
        print(f"{name:20} {told}")
    loaded = [name for name, one in found.items() if "error" not in one]
    report("vllm_artifacts", len(loaded) / max(1, len(found)), "share loaded", 1.0, 1, artifacts=found)


def child(folder: str, dtype: str) -> None:
    """Load one artifact with vLLM, then with transformers, and say how they compare."""
    import time

    from vllm import LLM, SamplingParams

    from r1ray.config.problems import ProblemsConfig
    from r1ray.data.problem_set import build_problem_set
    from r1ray.models.loading import load_tokenizer
    from r1ray.reasoning.prompts import prompt_ids

    tokenizer = load_tokenizer(folder)
    problems = build_problem_set(ProblemsConfig(heldout=QUESTIONS), 0).heldout[:QUESTIONS]
    prompts = [prompt_ids(tokenizer, problem, "Solve step by step.") for problem in problems]
    engine = LLM(folder, dtype=dtype, enforce_eager=True, gpu_memory_utilization=0.4, max_model_len=1024)
    settings = SamplingParams(temperature=0.0, max_tokens=TOKENS)
    given: Any = [{"prompt_token_ids": ids} for ids in prompts]
    engine.generate(given[:1], settings, use_tqdm=False)
    started = time.perf_counter()
    ours = [list(out.outputs[0].token_ids) for out in engine.generate(given, settings, use_tqdm=False)]
    seconds = time.perf_counter() - started
    same = sum(_same(ids, said, folder, tokenizer.eos_token_id) for ids, said in zip(prompts, ours, strict=True))
    print(json.dumps({"tokens_per_s": sum(map(len, ours)) / seconds, "same": same / len(prompts)}))


_loaded: dict[str, Any] = {}


def _same(ids: list[int], said: list[int], folder: str, end: int) -> bool:
    import torch
    from transformers import AutoModelForCausalLM

    if folder not in _loaded:
        _loaded[folder] = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).cuda().eval()
    model = _loaded[folder]
    with torch.inference_mode():
        given = torch.tensor([ids], device="cuda")
        out = model.generate(given, max_new_tokens=TOKENS, do_sample=False, eos_token_id=end, pad_token_id=end)
    return [int(token) for token in out[0, len(ids) :]] == said


def _in_a_process(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).resolve()), str(folder), "--dtype", args.dtype, "--child"]
    environment = {**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_USE_FLASHINFER_SAMPLER": "0"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "Error" in line]
        return {"error": (lines or done.stderr.splitlines() or ["no word"])[-1][-300:]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", nargs="+", help="folders of artifacts")
    parser.add_argument("--dtype", default="float16", help="that vLLM computes in")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    child(given.artifacts[0], given.dtype) if given.child else main()
