"""lm-eval through a running server against lm-eval on the weights themselves: the same score, the same log-likelihoods.

    python jobs/serve.py --policy.path FOLDER --serve.model-name m
    python benchmarks/lm_eval_agreement.py FOLDER --model m --lm-eval path/to/lm_eval

FOLDER is a Hugging Face folder. lm-eval 0.4 (`pip install 'lm-eval[api,hf]'`) may live in another environment. The task
is made here: sums with four choices, so that nothing is downloaded. The last line is one JSON object; its value is the
largest difference of a choice's log-likelihood, in nats.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report

TASK = """
task: sums
dataset_path: json
dataset_kwargs: {{data_files: {{test: {questions}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{label}}}}"
metric_list: [{{metric: acc}}]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--model", required=True, help="what the server calls it")
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--lm-eval", default="lm_eval", help="the command")
    parser.add_argument("--questions", type=int, default=100)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_task(Path(folder), args.questions)
        served = f"model={args.model},base_url={args.url}/completions,tokenizer={args.folder},num_concurrent=4"
        found = {
            "server": evaluate(args.lm_eval, "local-completions", served, Path(folder)),
            "weights": evaluate(args.lm_eval, "hf", f"pretrained={args.folder},dtype=float32", Path(folder)),
        }
    accuracy = {name: sum(one["acc"] for one in samples) / len(samples) for name, samples in found.items()}
    nats = {
        name: [float(choice[0][0]) for one in samples for choice in one["resps"]] for name, samples in found.items()
    }
    apart = max(abs(a - b) for a, b in zip(nats["server"], nats["weights"], strict=True))
    print(f"{args.questions} questions, {len(nats['server'])} choices: accuracy {accuracy}, apart by {apart:.2g} nats")
    report("lm_eval_agreement", apart, "nats between server and weights", 1e-3, 1, accuracy=accuracy)


def make_task(folder: Path, questions: int) -> None:
    """A folder for `--include_path`."""
    rng, lines = random.Random(0), []
    for _ in range(questions):
        a, b = rng.randint(1, 60), rng.randint(1, 60)
        wrong = rng.sample([n for n in range(a + b - 9, a + b + 10) if n not in (a + b, a, b)], 3)
        choices = rng.sample([a + b, *wrong], 4)
        lines.append({"question": f"{a} + {b} =", "choices": [f" {n}" for n in choices], "label": choices.index(a + b)})
    data = folder / "questions.jsonl"
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "sums.yaml").write_text(TASK.format(questions=data))


def evaluate(command: str, kind: str, arguments: str, folder: Path) -> list[dict[str, Any]]:
    """What lm-eval wrote of every question, in order."""
    out = folder / kind
    subprocess.run(
        [command, "--model", kind, "--model_args", arguments, "--tasks", "sums", "--include_path", str(folder),
         "--output_path", str(out), "--log_samples", *(["--device", "cpu"] if kind == "hf" else [])],
        check=True, stdout=sys.stderr, env={**os.environ, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    [written] = out.rglob("samples_sums_*.jsonl")
    samples = [json.loads(line) for line in written.read_text().splitlines()]
    return sorted(samples, key=lambda one: int(one["doc_id"]))


if __name__ == "__main__":
    main()
