"""Engines under load, after it, and after nobody asked for a while: how many there are, and what clients see.

    python benchmarks/serve_scaling.py [--policy smollm2-135m] [--seconds 40] [settings of jobs/serve.py]

Starts `jobs/serve.py` with 0 to 2 engines. The last line is one JSON object; its value is the share of requests that
were answered in full, the first one after all engines had gone included. Seconds depend on the machine, the rest does
not.
"""

import argparse
import asyncio
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report
from benchmarks.serve_faults import PORT, URL, _ready, ask, engines, load


class Watch:
    """Counts the engines' processes, and remembers when the number changed."""

    def __init__(self, job: subprocess.Popen[bytes]) -> None:
        self._job, self._began = job, time.monotonic()
        self.changes: list[tuple[float, int]] = []
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def now(self) -> int:
        """Engines there are."""
        return self.changes[-1][1] if self.changes else 0

    def _run(self) -> None:
        while self._job.poll() is None:
            count = len(engines(self._job))
            if not self.changes or count != self.now:
                self.changes.append((round(time.monotonic() - self._began, 1), count))
                print(f"{self.changes[-1][0]:6.1f} s: {count} engines", flush=True)
            time.sleep(0.2)

    def wait(self, count: int, seconds: float) -> float:
        """Seconds until there are so many; how often `/metrics` and `/health` are asked meanwhile must not matter."""
        began = time.monotonic()
        while self.now != count and time.monotonic() - began < seconds:
            for page in ("metrics", "health"):
                httpx.get(f"{URL}/{page}", timeout=60)
            time.sleep(1)
        return time.monotonic() - began


async def one() -> tuple[str, float]:
    """A request by itself."""
    async with httpx.AsyncClient(timeout=180) as client:
        began = time.monotonic()
        return await ask(client, 0, False, 8), time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--policy", default="smollm2-135m")
    parser.add_argument("--seconds", type=float, default=40.0, help="of load")
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--new-tokens", type=int, default=48)
    args, settings = parser.parse_known_args()
    command = [sys.executable, "jobs/serve.py", "--policy.path", args.policy, "--serve.port", str(PORT),
               "--serve.min-replicas", "0", "--serve.max-replicas", "2", "--serve.downscale-delay-s", "5",
               "--serve.target-queued-tokens", "512", "--engine.max-rows", "8", *settings]  # fmt: skip
    job = subprocess.Popen(command, stdout=sys.stderr)
    try:
        while not _ready(job):
            time.sleep(0.25)
        watch = Watch(job)
        found = asyncio.run(load(args.seconds, args.clients, args.new_tokens, None, 0))
        most = max(count for _, count in watch.changes)
        print(f"{args.clients} clients for {args.seconds:g} s: {dict(found)}, at most {most} engines", flush=True)
        calm = watch.wait(0, 120)
        print(f"the last engine went {calm:.0f} s after the load", flush=True)
        time.sleep(5)
        asleep = watch.now
        what, seconds = asyncio.run(one())
        print(f"the first request after that ({asleep} engines): {what} in {seconds:.1f} s", flush=True)
    finally:
        job.send_signal(signal.SIGINT)
        job.wait(120)
    found[what] += 1
    report(
        "requests answered while engines come and go",
        (found["answered"] + found["stream answered"]) / found.total(),
        unit="share",
        target=1.0,
        repeats=found.total(),
        most_engines=most,
        engines_in_calm=asleep,
        seconds_to_calm=round(calm, 1),
        first_answer_after_calm_s=round(seconds, 1),
        engines=watch.changes,
    )


if __name__ == "__main__":
    main()
