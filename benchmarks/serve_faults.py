"""What clients see while engines are killed, weights are rolled out, clients leave and too many come.

    python benchmarks/serve_faults.py [--policy smollm2-135m] [--seconds 30] [--every 6] [settings of jobs/serve.py]

Starts `jobs/serve.py` with two engines. The last line is one JSON object; its value is the share of requests that were
answered in full while an engine was killed every few seconds. Nothing in it depends on how fast the machine is.
"""

import argparse
import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report

PORT = 8017
URL = f"http://127.0.0.1:{PORT}"


async def ask(client: httpx.AsyncClient, number: int, stream: bool, new_tokens: int) -> str:
    """One request; what became of it, in a word."""
    body = {"prompt": f"Question {number}: how many legs do {number % 9} cats have? ", "max_tokens": new_tokens,
            "seed": number, "stream": stream, "ignore_eos": True,
            "stream_options": {"include_usage": True} if stream else None}  # fmt: skip
    try:
        if not stream:
            answer = await client.post(f"{URL}/v1/completions", json=body)
            if answer.status_code != 200:
                return _refusal(answer.status_code, answer.headers, answer.json())
            return "answered" if answer.json()["usage"]["completion_tokens"] == new_tokens else "short"
        async with client.stream("POST", f"{URL}/v1/completions", json=body) as answer:
            if answer.status_code != 200:
                return _refusal(answer.status_code, answer.headers, json.loads(await answer.aread()))
            events = [line[6:] async for line in answer.aiter_lines() if line.startswith("data: ")]
        if events[-1] != "[DONE]":
            return "stream cut off"
        last = json.loads(events[-2])
        if "error" in last:
            return "stream ended with an error object"
        return "answered" if last["usage"]["completion_tokens"] == new_tokens else "short"
    except (httpx.HTTPError, ValueError, IndexError) as error:
        return type(error).__name__


def _refusal(status: int, headers: httpx.Headers, body: Any) -> str:
    good = "error" in body and (status not in (429, 503) or "retry-after" in headers)
    return f"{status}" if good else f"{status} without its form"


async def load(
    seconds: float, clients: int, new_tokens: int, act: Callable[[], None] | None, every: float
) -> Counter[str]:
    """Closed loop, half of the clients streaming, while something happens every now and then."""
    found: Counter[str] = Counter()
    stop, number = time.monotonic() + seconds, iter(range(10**9))

    async def one(streaming: bool) -> None:
        while time.monotonic() < stop:
            found[("stream " if streaming else "") + await ask(client, next(number), streaming, new_tokens)] += 1

    async def disturb() -> None:
        while act is not None and time.monotonic() < stop - every:
            await asyncio.sleep(every)
            await asyncio.to_thread(act)
            found["disturbances"] += 1

    async with httpx.AsyncClient(timeout=180, limits=httpx.Limits(max_connections=500)) as client:
        await asyncio.gather(disturb(), *(one(place % 2 == 1) for place in range(clients)))
    return found


async def leave(clients: int) -> float:
    """Clients that leave after their first token; seconds until nothing runs any more."""

    async def one(client: httpx.AsyncClient, number: int) -> None:
        body = {"prompt": f"Tell me story {number}.", "max_tokens": 1500, "stream": True, "ignore_eos": True}
        async with client.stream("POST", f"{URL}/v1/completions", json=body) as answer:
            async for _ in answer.aiter_lines():
                return

    async with httpx.AsyncClient(timeout=180) as client:
        await asyncio.gather(*(one(client, number) for number in range(clients)))
        began = time.monotonic()
        while time.monotonic() - began < 60:
            rows = re.search(r"^r1ray_serve_batch_rows (\S+)", (await client.get(f"{URL}/metrics")).text, re.MULTILINE)
            if rows and float(rows[1]) == 0:
                break
            await asyncio.sleep(0.02)
    return time.monotonic() - began


def engines(job: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The engines' processes."""
    found = []
    for process in psutil.Process(job.pid).children(recursive=True):
        try:
            if "ServeReplica" in (name := " ".join(process.cmdline())) and "Engine" in name:
                found.append(process)
        except psutil.Error:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--policy", default="smollm2-135m")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each phase")
    parser.add_argument("--every", type=float, default=6.0, help="seconds between two kills")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=24)
    args, settings = parser.parse_known_args()
    command = [sys.executable, "jobs/serve.py", "--policy.path", args.policy, "--serve.port", str(PORT),
               "--serve.min-replicas", "2", "--serve.max-replicas", "2", "--serve.queued-tokens", "4000",
               *settings]  # fmt: skip
    job = subprocess.Popen(command, stdout=sys.stderr)
    try:
        began = time.monotonic()
        while not _ready(job):
            time.sleep(0.25)
        started = time.monotonic() - began
        print(f"first answer after {started:.1f} s", flush=True)

        def kill() -> None:
            if alive := engines(job):
                alive[0].kill()

        killed = asyncio.run(load(args.seconds, args.clients, args.new_tokens, kill, args.every))
        print(f"engines killed: {dict(killed)}", flush=True)
        _settle()
        rolled = asyncio.run(
            load(args.seconds, args.clients, args.new_tokens, lambda: job.send_signal(signal.SIGHUP), args.seconds / 3)
        )
        print(f"new weights rolled out: {dict(rolled)}", flush=True)
        left = asyncio.run(leave(args.clients))
        print(f"clients left: nothing runs {left:.2f} s later", flush=True)
        crowded = asyncio.run(load(args.seconds / 2, 40 * args.clients, args.new_tokens, None, 0))
        print(f"{40 * args.clients} clients: {dict(crowded)}", flush=True)
    finally:
        job.send_signal(signal.SIGINT)
        job.wait(120)
    answered = killed["answered"] + killed["stream answered"]
    report(
        "requests answered while engines are killed",
        answered / max(1, killed.total() - killed["disturbances"]),
        unit="share",
        target=1.0,
        repeats=killed["disturbances"],
        killed=dict(killed),
        rolled_out=dict(rolled),
        overloaded=dict(crowded),
        freed_after_s=round(left, 2),
        first_answer_s=round(started, 1),
    )


def _ready(job: subprocess.Popen[bytes]) -> bool:
    if job.poll() is not None:
        sys.exit("The service ended before it answered.")
    try:
        body = {"prompt": "1 + 1 =", "max_tokens": 1}
        return httpx.post(f"{URL}/v1/completions", json=body, timeout=60).status_code == 200
    except httpx.HTTPError:
        return False


def _settle() -> None:
    """Until the killed engines have been replaced."""
    while httpx.get(f"{URL}/health", timeout=60).status_code != 200:
        time.sleep(0.5)


if __name__ == "__main__":
    main()
