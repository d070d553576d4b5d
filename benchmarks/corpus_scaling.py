"""The corpus job with one and several workers, and its memory as the input grows tenfold.

    python benchmarks/corpus_scaling.py --docs 16000 --growth 10

Memory is what the driver and its workers hold that is theirs alone (USS), at its highest in samples four times a
second. Stages are timed without the start of Ray. The last line is one JSON object; its value is the speed-up from one
worker to `--workers`, `memory_ratio` the peak of the largest worker with `growth` times the documents over that with
`docs`.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report
from benchmarks._documents import write_documents

ROOT = Path(__file__).resolve().parents[1]
TARGET = 1.7
UNIT_MIB = 4.0
SHARD_ROWS = 1000
PARTITION_MIB = 16.0
"""Small, so that the smaller corpus fills a unit, a shard and a partition too, and growth is growth beyond them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One run of the job."""

    seconds: float
    worker_mib: float
    driver_mib: float


def main() -> None:
    args = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="corpus-scaling-"))
    try:
        write_documents(folder / "small", args.docs, files=2)
        write_documents(folder / "large", args.docs * args.growth, files=2)
        speedups = []
        for number in range(args.repeats):
            one = measure(folder / "large", folder / f"one-{number}", workers=1)
            two = measure(folder / "large", folder / f"two-{number}", workers=args.workers)
            speedups.append(one.seconds / two.seconds)
            print(f"1 worker {one.seconds:.1f} s, {args.workers} workers {two.seconds:.1f} s", flush=True)
        small = measure(folder / "small", folder / "small-out", workers=1)
        print(f"{args.docs} documents: {small}\n{args.docs * args.growth} documents: {one}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report(
        "corpus_scaling",
        statistics.median(speedups),
        f"documents per second, {args.workers} workers / one",
        TARGET * args.workers / 2,
        args.repeats,
        docs=args.docs * args.growth,
        docs_per_second_one=round(args.docs * args.growth / one.seconds, 1),
        docs_per_second_all=round(args.docs * args.growth / two.seconds, 1),
        growth=args.growth,
        memory_ratio=round(one.worker_mib / small.worker_mib, 3),
        driver_ratio=round(one.driver_mib / small.driver_mib, 3),
        worker_mib=round(one.worker_mib),
        driver_mib=round(one.driver_mib),
    )


def measure(source: Path, output: Path, workers: int) -> Measured:
    """Run the job in a process of its own and watch it."""
    command = [
        sys.executable, str(ROOT / "jobs/corpus.py"), "--corpus.input", str(source),
        "--corpus.output", str(output / "mix"), "--corpus.work-cpus", str((os.cpu_count() or 1) / workers),
        "--corpus.unit-mib", str(UNIT_MIB), "--corpus.shard-rows", str(SHARD_ROWS),
        "--corpus.partition-mib", str(PARTITION_MIB),
        "--run.storage", str(output / "runs"), "--clean.profile", "web", "--noise.no-enabled", "--domain.no-enabled",
    ]  # fmt: skip
    environment = {**os.environ, "RAY_ADDRESS": "local", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    peaks = {"worker": 0.0, "driver": 0.0}
    while job.poll() is None:
        _watch(psutil.Process(job.pid), peaks)
        time.sleep(0.25)
    printed = job.stdout.read() if job.stdout else ""
    if job.returncode:
        sys.exit(f"{' '.join(command)} failed with {job.returncode}")
    run = Path(json.loads(printed.splitlines()[-1])["run"])
    stages: Mapping[str, float] = json.loads((run / "corpus.json").read_text())["seconds"]
    return Measured(seconds=sum(stages.values()), worker_mib=peaks["worker"], driver_mib=peaks["driver"])


def _watch(driver: psutil.Process, peaks: dict[str, float]) -> None:
    with contextlib.suppress(psutil.Error):
        peaks["driver"] = max(peaks["driver"], driver.memory_full_info().uss / 2**20)
        for process in driver.children(recursive=True):
            with contextlib.suppress(psutil.Error, IndexError):
                if process.cmdline()[0].startswith("ray::"):
                    peaks["worker"] = max(peaks["worker"], process.memory_full_info().uss / 2**20)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--docs", type=int, default=16000)
    parser.add_argument("--growth", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
