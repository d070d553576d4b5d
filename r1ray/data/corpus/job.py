"""The corpus job as a loop over stages; who makes the pieces is a parameter."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from r1ray.config.jobs import CorpusJobConfig
from r1ray.data.corpus.pieces import Pieces
from r1ray.data.corpus.plan import CorpusPlan, Stage, Work
from r1ray.data.corpus.prune import prune
from r1ray.data.corpus.publish import FIGURES, is_published, publish
from r1ray.data.corpus.units import plan_inputs

MakePieces = Callable[[Stage, Sequence[int]], Iterator[dict[str, Any]]]
"""Makes these pieces of a stage, in any order, and gives their results as they come."""
Progress = Callable[[str, int, int, dict[str, Any]], None]
"""Told after each piece: stage, pieces done, pieces in all, the piece's result."""


def build_corpus(config: CorpusJobConfig, make: MakePieces, progress: Progress) -> dict[str, Any]:
    """Make what is missing of a corpus, and publish it.

    Returns:
        `manifest`, `figures` (counts and examples), `output`, `seconds` of each stage in this process and in `total`,
        and by stage `pieces_made` and `pieces_found` (left by an earlier process).
    """
    started = time.monotonic()
    plan = CorpusPlan(config=config, inputs=plan_inputs(config.corpus))
    seconds: dict[str, float] = {}
    counts: dict[str, int] = {}
    made: dict[str, int] = {}
    manifest = is_published(plan)
    if manifest is None:
        plan.check()
        for stage in plan.stages():
            begun = time.monotonic()
            counts[stage.name] = stage.pieces
            missing = [number for number in range(stage.pieces) if not plan.pieces.is_done(stage.name, number)]
            done = stage.pieces - len(missing)
            stage = replace(stage, work=_once(plan.pieces, stage))
            results = map(stage.work, missing) if stage.local else make(stage, missing) if missing else iter(())
            for result in results:
                done += 1
                progress(stage.name, done, stage.pieces, result)
            made[stage.name] = len(missing)
            seconds[stage.name] = _since(begun)
        manifest = publish(plan, counts)
    shutil.rmtree(plan.pieces.root, ignore_errors=True)
    if config.corpus.keep:
        prune(plan.output, config.corpus.keep)
    return {
        "manifest": manifest,
        "figures": json.loads((plan.output / FIGURES).read_text(encoding="utf-8")),
        "output": str(plan.output),
        "seconds": seconds,
        "total": _since(started),
        "pieces_made": made,
        "pieces_found": {name: counts[name] - made[name] for name in counts},
    }


def _once(pieces: Pieces, stage: Stage) -> Work:
    """The stage's work, which does not make again what a process that died just now has finished."""
    return lambda number: (
        pieces.result(stage.name, number) if pieces.is_done(stage.name, number) else stage.work(number)
    )


def in_process(stage: Stage, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Make pieces one after another in this process."""
    return map(stage.work, numbers)


def summary(outcome: dict[str, Any]) -> dict[str, Any]:
    """The headline figures of a finished corpus."""
    manifest = outcome["manifest"]
    rows_in = manifest["funnel"]["rows_in"]
    return {
        "rows_in": rows_in,
        "rows_out": manifest["rows"],
        "content_hash": manifest["content_hash"],
        "docs_per_s": round(rows_in / max(outcome["total"], 1e-9), 1),
        "quarantined": sum(manifest["funnel"]["quarantined"].values()),
        "pieces_found": sum(outcome["pieces_found"].values()),
    }


def _since(begun: float) -> float:
    return round(time.monotonic() - begun, 3)
