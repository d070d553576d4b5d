"""The gate: what a compressed model shows beside its parent, and whether that is good enough. Pure functions of
figures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from r1ray.config.quantize import GateConfig
from r1ray.quantize.distributions import Divergence
from r1ray.statistics import mcnemar

ACCEPTED, REJECTED = "accepted", "rejected"


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """What a model takes, and how fast it answers one prompt at a time, in a process of its own."""

    resident: int
    """Bytes by which the process grew from before loading to after answering."""
    tokens_per_s: float
    texts: tuple[str, ...] = ()
    """Greedy continuations of the check's prompts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Examined:
    """One model on the held-out problems."""

    correct: tuple[bool, ...]
    bytes: int
    """Of its weights' files on disk."""
    footprint: Footprint | None = None
    """None where no process was asked for."""
    engine_texts: tuple[str, ...] = ()
    """What r1ray's engine answers to the prompts of the footprint."""

    @property
    def accuracy(self) -> float:
        return sum(self.correct) / max(1, len(self.correct))


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the gate says, and why not if not."""

    accepted: bool
    reasons: tuple[str, ...]
    """Each demand that was not met."""

    @property
    def word(self) -> str:
        return ACCEPTED if self.accepted else REJECTED


def judge(parent: Examined, child: Examined, divergence: Divergence, gate: GateConfig) -> Verdict:
    """Hold a compressed model against its parent; every demand that is switched on must be met."""
    test = mcnemar(parent.correct, child.correct)
    reasons = []
    if gate.margin and not test.interval.low > -gate.margin:
        reasons.append(
            f"accuracy {child.accuracy:.1%} after {parent.accuracy:.1%}: the difference may be as low as "
            f"{test.interval.low:+.1%} (95 %), and the margin is {-gate.margin:+.1%} ({test.problems} problems)"
        )
    if gate.kept and child.accuracy < gate.kept * parent.accuracy:
        reasons.append(
            f"{child.accuracy / parent.accuracy:.1%} of the parent's accuracy is kept, at least {gate.kept:.1%} asked"
        )
    if gate.mean_kl and not divergence.mean_kl <= gate.mean_kl:  # not `>`: NaN is no pass
        reasons.append(f"mean next-token KL {divergence.mean_kl:.4f} nats, at most {gate.mean_kl:g} asked")
    if not math.isfinite(divergence.perplexity):
        reasons.append(f"perplexity is {divergence.perplexity}")
    if gate.same_text and child.footprint is not None:
        same = share_equal(child.footprint.texts, child.engine_texts)
        if same < gate.same_text:
            reasons.append(f"a fresh process continues {same:.0%} of the prompts as the engine does")
    return Verdict(accepted=not reasons, reasons=tuple(reasons))


def share_equal(first: Sequence[str], second: Sequence[str]) -> float:
    """Share of texts that are equal, pair by pair."""
    return sum(a == b for a, b in zip(first, second, strict=True)) / max(1, len(first))
