"""Which artifacts of a quantization vLLM loads, and whether it says what r1ray says.

    python benchmarks/vllm_artifacts.py runs/q/artifacts/*
    python benchmarks/vllm_artifacts.py runs/q/artifacts/* --dtype float32 --vllm-python .venv-vllm-cpu/bin/python

Each artifact is loaded by vLLM in a process of its own and answers held-out problems of the gate greedily; r1ray's
engine answers the same ones in float32. vLLM may lie in an environment of its own. float16 by default, because vLLM's
4-bit GPU kernels for rows that are no multiple of 128 (SmolLM2-135M's have 576) know no bfloat16. The last line is one
JSON object; its value is the share of artifacts that vLLM loaded.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main() -> None:
    import torch

    from benchmarks._artifacts import Reference, say
    from benchmarks._common import report

    args = _arguments()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    found: dict[str, Any] = {}
    for folder in (Path(name) for name in args.artifacts if (Path(name) / "config.json").exists()):
        reference = Reference.of(folder, questions=args.questions, new_tokens=args.new_tokens)
        theirs = found[folder.name] = _vllm(folder, reference.prompts, args)
        if "error" in theirs:
            print(f"{folder.name:18} {theirs['error']}", flush=True)
            continue
        gaps = reference.gaps(theirs.pop("answers"))
        theirs |= {"questions": args.questions, "gaps": [round(gap, 4) for gap in gaps]}
        say(folder.name, theirs["tokens_per_s"], args.questions, gaps)
    loaded = [name for name, one in found.items() if "error" not in one]
    report("vllm_artifacts", len(loaded) / max(1, len(found)), "share loaded", 1.0, 1, artifacts=found)


def _vllm(folder: Path, prompts: list[list[int]], args: argparse.Namespace) -> dict[str, Any]:
    """Answers of vLLM, from a process of its own, or the error that it ended with."""
    request = {"folder": str(folder), "prompts": prompts, "tokens": args.new_tokens, "dtype": args.dtype}
    command = [args.vllm_python, str(Path(__file__).resolve()), "--child"]
    settings = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_USE_FLASHINFER_SAMPLER": "0",
        **os.environ,
    }
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, env=settings, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "Error" in line]
        return {"error": (lines or done.stderr.splitlines() or ["no word"])[-1][-300:]}
    answered: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answered


def child() -> None:
    """In the environment that has vLLM: answer what standard input asks."""
    import vllm
    from vllm.platforms import current_platform

    request = json.load(sys.stdin)
    share = {} if current_platform.is_cpu() else {"gpu_memory_utilization": 0.4}
    engine = vllm.LLM(request["folder"], dtype=request["dtype"], enforce_eager=True, max_model_len=1024, **share)
    settings = vllm.SamplingParams(temperature=0.0, max_tokens=request["tokens"])
    given: Any = [{"prompt_token_ids": ids} for ids in request["prompts"]]
    engine.generate(given[:1], settings, use_tqdm=False)
    started = time.perf_counter()
    outputs = engine.generate(given, settings, use_tqdm=False)
    seconds = time.perf_counter() - started
    answers = [list(output.outputs[0].token_ids) for output in outputs]
    speed = sum(map(len, answers)) / seconds
    print(json.dumps({"answers": answers, "tokens_per_s": speed, "version": vllm.__version__}), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", nargs="+", help="folders of artifacts; those without config.json are passed over")
    parser.add_argument("--questions", type=int, default=16)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--dtype", default="float16", help="that vLLM computes in")
    parser.add_argument("--vllm-python", default=sys.executable, help="of the environment that has vLLM")
    return parser.parse_args()


if __name__ == "__main__":
    child() if "--child" in sys.argv else main()
