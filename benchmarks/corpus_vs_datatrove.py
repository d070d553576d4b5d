"""Documents per second of the corpus job and of datatrove: clean, mask, deduplicate; same documents, same cores.

    python benchmarks/corpus_vs_datatrove.py --datatrove /path/to/venv/bin/python --docs 12000 --workers 2

datatrove lives in an environment of its own (`pip install 'datatrove[processing,io]'`). Both are timed from the start
of a fresh process to its end, taking turns. What differs: the corpus job verifies each pair of near duplicates by its
true Jaccard similarity, identifies languages and writes parquet with a manifest; datatrove does not. Neither
classifies. The last line is one JSON object; its value is the median ratio, `inside_ratio` that of the work without
imports and the start of Ray.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import median_ratio, report
from benchmarks._documents import write_documents

ROOT = Path(__file__).resolve().parents[1]
TARGET = 2.0


def main() -> None:
    args = _arguments()
    if not args.datatrove or not Path(args.datatrove).exists():
        sys.exit(
            "Where is datatrove? Give --datatrove the Python of an environment that has it: `python -m venv dt && "
            "dt/bin/pip install 'datatrove[processing,io]'`, then --datatrove dt/bin/python."
        )
    folder = Path(tempfile.mkdtemp(prefix="corpus-vs-datatrove-"))
    try:
        size = write_documents(folder / "raw", args.docs, files=args.workers * 2)
        ours: list[dict[str, Any]] = []
        theirs: list[dict[str, Any]] = []
        for number in range(args.repeats):
            theirs.append(_datatrove(args, folder, folder / f"datatrove-{number}"))
            ours.append(_corpus(args, folder, folder / f"corpus-{number}"))
            print(f"datatrove {theirs[-1]['seconds']:.1f} s, corpus job {ours[-1]['seconds']:.1f} s", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report(
        "corpus_vs_datatrove",
        median_ratio([run["seconds"] for run in theirs], [run["seconds"] for run in ours]),
        "documents per second, corpus job / datatrove, whole processes",
        TARGET,
        args.repeats,
        inside_ratio=round(median_ratio([run["inside"] for run in theirs], [run["inside"] for run in ours]), 3),
        docs=args.docs,
        mib=round(size / 2**20, 1),
        workers=args.workers,
        docs_per_second=round(args.docs / statistics.median(run["seconds"] for run in ours), 1),
        datatrove_docs_per_second=round(args.docs / statistics.median(run["seconds"] for run in theirs), 1),
        kept=ours[-1]["rows_out"],
        datatrove_kept=theirs[-1]["rows_out"],
    )


def _corpus(args: argparse.Namespace, folder: Path, output: Path) -> dict[str, Any]:
    cpus = os.cpu_count() or 1
    command = [
        sys.executable, str(ROOT / "jobs/corpus.py"),
        "--corpus.input", str(folder / "raw"), "--corpus.output", str(output / "mix"),
        "--corpus.work-cpus", str(cpus / args.workers), "--run.storage", str(output / "runs"),
        "--clean.profile", "web", "--privacy.detectors", "email", "ip", "--noise.no-enabled", "--domain.no-enabled",
    ]  # fmt: skip
    found = _timed(command, {"RAY_ADDRESS": "local", "PYTHONPATH": str(ROOT)})
    stages = json.loads((Path(found["run"]) / "corpus.json").read_text())
    return {**found, "inside": stages["total"]}


def _datatrove(args: argparse.Namespace, folder: Path, output: Path) -> dict[str, Any]:
    script = str(ROOT / "benchmarks/_datatrove.py")
    command = [args.datatrove, script, str(folder / "raw"), str(output), str(args.workers * 2), str(args.workers)]
    return _timed(command, {"PYTHONPATH": ""})


def _timed(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    start = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**summary, "seconds": seconds}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--datatrove", default="", help="Python interpreter of an environment that has datatrove")
    parser.add_argument("--docs", type=int, default=12_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
