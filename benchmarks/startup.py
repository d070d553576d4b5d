"""Where the seconds go before the first training step: Ray, Ray Train's worker group, imports, policy, DeepSpeed.

    python benchmarks/startup.py [--groups 2] [--learners 1]

The group is started several times in one Ray, as jobs of one pipeline do; the first start reads files that later ones
find in memory. DeepSpeed builds C++ extensions at their first use; `TORCH_EXTENSIONS_DIR` is an empty folder here, and
what is in it at the end was built meanwhile. The last line's value is the seconds of the quickest start.
"""

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STARTED = time.time()

PHASES = (
    "Ray Train: controller, placement, worker process, process group",
    "imports in the worker (transformers, DeepSpeed, r1ray)",
    "policy from its files",
    "DeepSpeed engine",
    "first step",
    "second step",
    "Ray Train: end of the group",
)


def rank(payload: Mapping[str, Any], context: Any) -> None:
    """One rank: a clock reading after each phase."""
    clock = [time.time()]
    import torch

    from r1ray.algorithms.packing import pack
    from r1ray.config.optim import OptimConfig, ZeroConfig
    from r1ray.config.policy import PolicyConfig
    from r1ray.models.loading import load_policy
    from r1ray.models.policy import Policy
    from r1ray.train.zero import ZeroEngine, _deepspeed

    _deepspeed(context.device)
    clock.append(time.time())
    model, _ = load_policy(PolicyConfig(path=payload["policy"]))
    clock.append(time.time())
    engine = ZeroEngine(Policy(model), OptimConfig(), ZeroConfig(), total_steps=2, device=context.device)
    clock.append(time.time())
    [packed] = pack([[1] * 8] * 4, [[2] * 24] * 4, group=range(4), max_tokens=256, whole=True)
    for _ in range(2):
        engine.backward(-engine.forward(packed.to(context.device)).logprobs.mean())
        engine.step()
        if context.device.type == "cuda":
            torch.cuda.synchronize()
        clock.append(time.time())
    if context.rank == 0:
        Path(payload["clock"]).write_text(json.dumps(clock))


def main() -> None:
    """Start the group, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="smollm2-135m")
    parser.add_argument("--groups", type=int, default=2, help="how often the worker group is started")
    parser.add_argument("--learners", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        extensions = Path(folder, "extensions")
        extensions.mkdir()
        os.environ["TORCH_EXTENSIONS_DIR"] = str(extensions)
        measure(arguments, Path(folder), extensions)


def measure(arguments: argparse.Namespace, folder: Path, extensions: Path) -> None:
    """The same, with a folder for what is written meanwhile."""
    import torch

    from benchmarks._common import report
    from r1ray.cluster.connect import connect
    from r1ray.config.resources import ResourcesConfig
    from r1ray.train.trainer import fit

    imported = time.time()
    connect()
    print(f"{imported - STARTED:6.1f} s  imports in the driver (Ray, torch, r1ray)")
    print(f"{time.time() - imported:6.1f} s  ray.init")
    gpus = float(torch.cuda.is_available())
    resources = ResourcesConfig(learners=arguments.learners, learner_cpus=0.5, learner_gpus=gpus)
    columns: list[list[float]] = []
    for group in range(arguments.groups):
        payload = {"policy": arguments.policy, "clock": str(folder / "clock.json")}
        before = time.time()
        fit(rank, payload, resources, storage=str(folder / "ray"), name=f"startup-{group}")
        clock = [before, *json.loads((folder / "clock.json").read_text()), time.time()]
        columns.append([after - earlier for earlier, after in itertools.pairwise(clock)])
    for name, *seconds in zip(PHASES, *columns, strict=True):
        print("  ".join(f"{value:6.1f}" for value in seconds) + f"  {name}")
    totals = [sum(column[:5]) for column in columns]
    print("  ".join(f"{total:6.1f}" for total in totals) + "  until the first step is done")
    built = sorted(path.name for path in extensions.rglob("*.so"))
    report(
        "startup",
        min(totals),
        "seconds from Ray Train's start to the end of the first step",
        30.0,
        arguments.groups,
        first=round(totals[0], 1),
        extensions_built=built,
    )


if __name__ == "__main__":
    main()
