"""Whether the cluster has what a plan asks for, said before anything starts."""

import time
from collections.abc import Mapping, Sequence

import ray
from ray.autoscaler.sdk import request_resources

from r1ray.cluster.plan import Plan, gib
from r1ray.errors import ResourceError

Resources = Mapping[str, float]


def nodes() -> list[dict[str, float]]:
    """`CPU`, `GPU` and `memory` in bytes of every living node of the connected cluster, in use or not."""
    return [
        {name: float(node["Resources"].get(name, 0.0)) for name in ("CPU", "GPU", "memory")}
        for node in ray.nodes()
        if node["Alive"]
    ]


def fits(bundles: Sequence[Resources], available: Sequence[Resources]) -> bool:
    """Whether every bundle finds room on one node: the largest first, each on the first node with room left."""
    left = [dict(node) for node in available]
    for bundle in sorted(bundles, key=lambda b: (b["GPU"], b["memory"], b["CPU"]), reverse=True):
        for node in left:
            if all(node[name] + 1e-6 >= amount for name, amount in bundle.items()):
                for name, amount in bundle.items():
                    node[name] -= amount
                break
        else:
            return False
    return True


def check(plan: Plan, available: Sequence[Resources]) -> None:
    """Raise `ResourceError`, with what is required beside what is there, if `plan` does not fit onto these nodes."""
    bundles = plan.bundles()
    if fits(bundles, available):
        return
    required = plan.required()
    total = {name: sum(node[name] for node in available) for name in required}
    lines = [
        f"  {name:<8}{_say(name, required[name]):>12} required{_say(name, total[name]):>12} there"
        + ("   <- too few" if required[name] > total[name] + 1e-6 else "")
        for name in required
    ]
    enough = all(required[name] <= total[name] + 1e-6 for name in required)
    spread = " There is enough in all, but no single node has room for one of the workers." if enough else ""
    raise ResourceError(
        f"The job does not fit onto the {len(available)} node(s) of this cluster.{spread}\n"
        + "\n".join(lines)
        + "\nLower resources.*_cpus, resources.*_gpus or the numbers of workers; for memory, "
        "optim.tokens_per_microbatch or engine.max_rows; or take a smaller policy, policy.lora.rank, or zero.stage "
        "with more learners. Or add nodes."
    )


def wait_until_fits(plan: Plan, wait_seconds: float) -> None:
    """Ask an autoscaling cluster for what the plan needs and wait for it.

    Raises:
        ResourceError: after `wait_seconds` it still does not fit.
    """
    available = nodes()
    bundles = plan.bundles()
    if not fits(bundles, available) and wait_seconds > 0:
        request_resources(bundles=[{k: v for k, v in bundle.items() if v and k != "memory"} for bundle in bundles])
        try:
            end = time.monotonic() + wait_seconds
            while not fits(bundles, available) and time.monotonic() < end:
                time.sleep(min(1.0, wait_seconds))
                available = nodes()
        finally:
            request_resources(bundles=[])
    check(plan, available)


def _say(name: str, amount: float) -> str:
    return gib(amount) if name == "memory" else f"{amount:g}"
