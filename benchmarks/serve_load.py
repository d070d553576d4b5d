"""Load on OpenAI-compatible servers, several side by side in one run.

    python benchmarks/serve_load.py --server ours=http://127.0.0.1:8000/v1 --model smollm2-135m
    python benchmarks/serve_load.py --model m --rounds 3 \
        --server ours=http://127.0.0.1:8000/v1 \
        --start 'llama.cpp=http://127.0.0.1:8081/v1=python benchmarks/_llama_cpp.py m.gguf --port 8081'

`--start NAME=URL=COMMAND` starts a server and ends it afterwards; `--server NAME=URL` is one that runs; `--bare POLICY`
is the engine itself, in a loop of this process (closed loop alone). Rounds take turns, so that whatever else the
machine does hits all alike. `--rate` is the open loop (Poisson arrivals), otherwise `--streams` requests are in flight.
The last line is one JSON object; its value is the first server's throughput over the last one's (or its tokens a
second, where it is alone), a median over rounds; `ratios` has it over each.
"""

import argparse
import asyncio
import json
import shlex
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report
from benchmarks._load import Load, LoadResult, OpenAIServer, drive, to_json

START_SECONDS = 300


def main() -> None:
    args = _arguments()
    servers = dict(entry.split("=", 1) for entry in args.server)
    started: list[subprocess.Popen[bytes]] = []
    try:
        for entry in args.start:
            name, url, command = entry.split("=", 2)
            started.append(subprocess.Popen(shlex.split(command), stdout=subprocess.DEVNULL))
            wait_until_ready(url, args.key, started[-1])
            servers[name] = url
        if not servers:
            sys.exit("Give at least one --server NAME=URL or --start NAME=URL=COMMAND.")
        results = asyncio.run(measure(servers, args))
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)
    ours, *others = results
    rates = {name: [one.tokens_per_s for one in found] for name, found in results.items()}
    ratios = {
        name: round(statistics.median(a / b for a, b in zip(rates[ours], rates[name], strict=True)), 4)
        for name in others
    }
    for name, ratio in ratios.items():
        print(f"throughput of {ours} over {name}: {ratio}")
    value, unit, target = statistics.median(rates[ours]), f"tokens/s of {ours}", 0.0
    if others:
        value, unit, target = ratios[others[-1]], f"throughput of {ours} over {others[-1]}", 1.0
    report("serve_load", value, unit, target, args.rounds, ratios=ratios,
           load=vars(args) | {"server": servers, "start": [], "key": ""},
           servers={name: [to_json(one) for one in found] for name, found in results.items()})  # fmt: skip


async def measure(servers: dict[str, str], args: argparse.Namespace) -> dict[str, list[LoadResult]]:
    """Every server once a round; the round before the first does not count."""
    results: dict[str, list[LoadResult]] = {name: [] for name in servers}
    bare = None
    if args.bare:
        from benchmarks._bare_engine import drive_engine
        from r1ray.config.policy import PolicyConfig
        from r1ray.config.serve import ServeEngineConfig
        from r1ray.generation.paged.factory import make_iteration_engine

        bare, tokenizer = make_iteration_engine(
            ServeEngineConfig(kind=args.engine, threads=args.threads), PolicyConfig(path=args.bare)
        )
        results["bare engine"] = []
    models = dict(entry.split("=", 1) for entry in args.model if "=" in entry)
    default = next((entry for entry in args.model if "=" not in entry), "")
    for number in range(-1, args.rounds):
        load = Load(
            requests=args.requests if number >= 0 else min(args.requests, args.streams),
            streams=args.streams,
            rate=args.rate,
            prompt_tokens=args.prompt_tokens,
            new_tokens=args.new_tokens,
            shared_prefix=args.shared_prefix,
            seed=number + 1,
        )
        for name, url in servers.items():
            model = models.get(name, default)
            async with OpenAIServer(url, model, key=args.key, chat=args.chat, extra=json.loads(args.extra)) as server:
                result = await drive(server.ask, load)
            if number >= 0:
                results[name].append(result)
                print(f"round {number + 1}  {name:14} {result.line()}", flush=True)
        if bare is not None:
            result = drive_engine(bare, tokenizer, load)
            if number >= 0:
                results["bare engine"].append(result)
                print(f"round {number + 1}  {'bare engine':14} {result.line()}", flush=True)
    return results


def wait_until_ready(url: str, key: str, process: subprocess.Popen[bytes]) -> None:
    """Until `/models` answers."""
    request = urllib.request.Request(f"{url}/models", headers={"Authorization": f"Bearer {key}"} if key else {})
    for _ in range(2 * START_SECONDS):
        if process.poll() is not None:
            sys.exit(f"{shlex.join(map(str, process.args))} ended with {process.returncode} before it answered.")
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except urllib.error.HTTPError as error:
            if error.code != 503:  # it is there; not every server can list its models
                return
        except OSError:
            pass
        time.sleep(0.5)
    sys.exit(f"{url} did not answer within {START_SECONDS} s.")


def _arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--server", action="append", default=[], help="NAME=URL, up to and including /v1")
    parser.add_argument("--start", action="append", default=[], help="NAME=URL=COMMAND")
    parser.add_argument("--bare", default="", help="policy.path of the engine in this process")
    parser.add_argument("--engine", default="auto", help="engine.kind of it")
    parser.add_argument("--threads", type=int, default=0, help="engine.threads of it")
    parser.add_argument("--model", action="append", default=[], help="for all, or SERVER=MODEL for one")
    parser.add_argument("--key", default="", help="API key")
    parser.add_argument("--chat", action="store_true", help="/chat/completions")
    parser.add_argument("--extra", default="{}", help="JSON: more fields of the request")
    parser.add_argument("--streams", type=int, default=16, help="requests in flight (closed loop)")
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second (open loop)")
    parser.add_argument("--requests", type=int, default=64, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--shared-prefix", type=float, default=0.0, help="share of the prompt")
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
