"""GGUF artifacts as `jobs/serve.py` runs them: does OpenVINO say what the file's numbers say, and how fast?

    python benchmarks/gguf_artifacts.py runs/q/artifacts/gguf-*

r1ray's batch engine computes with a file's numbers in float32 and is the reference; r1ray's serving engine multiplies
the packed ones by OpenVINO's kernels. Both answer the same held-out problems greedily, the second all side by side
(answers) and one after another (speed). The last line is one JSON object; its value is the least share of equal answers
over the files.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks._artifacts import Reference, say
from benchmarks._common import report
from r1ray.config.policy import PolicyConfig
from r1ray.config.serve import ServeEngineConfig
from r1ray.generation.iteration import DecodingParams, EngineRequest, IterationEngine
from r1ray.generation.paged.factory import make_iteration_engine
from r1ray.models.gguf import gguf_in


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    found: dict[str, Any] = {}
    for folder in map(Path, args.artifacts):
        file = folder if folder.is_file() else gguf_in(folder)
        if file is None:
            continue
        reference = Reference.of(file, questions=args.questions, new_tokens=args.new_tokens)
        engine, _ = make_iteration_engine(
            ServeEngineConfig(kind="openvino", threads=args.threads), PolicyConfig(path=str(file))
        )
        gaps = reference.gaps(answer(engine, reference.prompts, args.new_tokens))
        speed = statistics.median(_speed(engine, ids, args.new_tokens) for ids in reference.prompts[:8])
        say(file.parent.name, speed, args.questions, gaps)
        found[file.parent.name] = {
            "tokens_per_s": round(speed, 1),
            "questions": args.questions,
            "gaps": [round(gap, 4) for gap in gaps],
        }
    least = min((1 - len(one["gaps"]) / one["questions"] for one in found.values()), default=0.0)
    report("gguf_artifacts", least, "least share of greedy answers equal to the file's own", 0.9, 1, artifacts=found)


def answer(
    engine: IterationEngine, prompts: list[list[int]], new_tokens: int, *, ignore_end: bool = False
) -> list[list[int]]:
    """Greedy answers, all side by side."""
    params = DecodingParams(max_new_tokens=new_tokens, temperature=0.0, ignore_end=ignore_end)
    for number, ids in enumerate(prompts):
        engine.add(EngineRequest(id=str(number), prompt_ids=ids, params=params))
    answers: list[list[int]] = [[] for _ in prompts]
    while engine.busy:
        for event in engine.step():
            answers[int(event.id)].extend(event.token_ids)
    return answers


def _speed(engine: IterationEngine, prompt: list[int], new_tokens: int) -> float:
    started = time.perf_counter()
    [ids] = answer(engine, [prompt], new_tokens)
    return len(ids) / (time.perf_counter() - started)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", nargs="+", help="GGUF files, or folders that hold one; others are passed over")
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args()


if __name__ == "__main__":
    main()
