"""From finished pieces to a version of the corpus: manifest, quarantine, balanced books; published at once."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from r1ray.data.corpus import duplicates, meaning, read, shards, synthesis, tokens
from r1ray.data.corpus.figures import Figures
from r1ray.data.corpus.plan import CorpusPlan, content_settings
from r1ray.data.verdict import Funnel
from r1ray.data.versions import MANIFEST, SHARDS, VERSIONS, beside, locate, read_manifest
from r1ray.errors import DataError
from r1ray.runs.files import hash_file, write_json

FIGURES = "figures.json"
QUARANTINE = "quarantine"
DROPPED = "dropped"
LABELLED = "labelled"


def publish(plan: CorpusPlan, counts: Mapping[str, int]) -> dict[str, Any]:
    """Put the pieces together as a version, and make it the newest one. Returns its manifest.

    Args:
        plan: all of whose stages are complete.
        counts: pieces of each stage.
    """
    pieces, output = plan.pieces, plan.output
    results = [pieces.result(read.STAGE, unit) for unit in range(counts[read.STAGE])]
    written = [pieces.result(shards.SHARDS, shard) for shard in range(counts[shards.SHARDS])]
    kept = sum(one["shard"]["rows"] - one["shard"]["variants"] for one in written)
    funnel = _funnel(plan, counts, results, kept)
    figures = Figures()
    split = [pieces.result(shards.SPLIT, unit) for unit in range(counts[shards.SPLIT])]
    for result in [*results, *split, *written]:
        figures.add(result["figures"])
    for stage in (duplicates.VERIFY, meaning.MEANING):
        for part in range(counts.get(stage, 0)):
            figures.show("near duplicates", pieces.result(stage, part)["examples"])
    entries = [one["shard"] for one in written]
    content = hashlib.sha256("".join(entry["content"] for entry in entries).encode()).hexdigest()
    manifest = {
        "content_hash": content,
        "plan": plan.fingerprint,
        "rows": sum(entry["rows"] for entry in entries),
        "characters": sum(entry["characters"] for entry in entries),
        "shards": entries,
        "inputs": [{"name": one.name, "bytes": one.bytes, "sha256": one.sha256} for one in plan.inputs.sources],
        "parent": current_version(output),
        "config": content_settings(plan.config),
        "funnel": funnel.to_json(),
        "tiers": dict(figures.counts.get("tier", {})),
        "variants": sum(entry["variants"] for entry in entries),
        "domains": dict(figures.counts.get("domain", {})),
    }
    if synthesis.SYNTHESIZE in counts:
        manifest["synthesis"] = pieces.result(synthesis.SYNTHESIZE)["report"]
    version = beside(output) / VERSIONS / content
    if not (version / MANIFEST).is_file() or damaged_shards(version):  # links share a file, and its damage
        temporary = version.with_name(f".{content[:12]}.{uuid.uuid4().hex[:8]}")
        (temporary / SHARDS).mkdir(parents=True)
        for number, entry in enumerate(entries):
            shutil.copyfile(pieces.folder(shards.SHARDS, number) / entry["name"], temporary / SHARDS / entry["name"])
        _collect(plan, read.STAGE, read.QUARANTINE, temporary / QUARANTINE)
        _collect(plan, read.STAGE, read.DROPPED, temporary / DROPPED)
        _collect(plan, shards.SPLIT, shards.LABELLED, temporary / LABELLED)
        if tokens.TOKENS in counts:
            manifest["tokens"] = tokens.collect_tokens(pieces, len(entries), temporary / tokens.TOKENS, plan.config)
        write_json(temporary / FIGURES, figures.to_json())
        write_json(temporary / MANIFEST, manifest)
        shutil.rmtree(version, ignore_errors=True)
        temporary.rename(version)
    show_version(output, version)
    return manifest


def show_version(output: Path, version: Path) -> None:
    """Make a version the one that lies in the output folder: hard links, swapped in at once.

    Raises:
        DataError: the output folder holds something else than a corpus.
    """
    if output.exists() and any(output.iterdir()) and not (output / MANIFEST).is_file():
        raise DataError(
            f"corpus.output {output} is not empty and holds no corpus. Choose another folder; nothing was written "
            f"there, and the finished version is {version}."
        )
    fresh = beside(output) / f".next.{uuid.uuid4().hex[:8]}"
    shutil.copytree(version, fresh, copy_function=_link)
    old = beside(output) / f".old.{uuid.uuid4().hex[:8]}"
    if output.exists():
        output.rename(old)
    fresh.rename(output)
    shutil.rmtree(old, ignore_errors=True)


def is_published(plan: CorpusPlan) -> dict[str, Any] | None:
    """The manifest in the output folder, where it is this plan's and every shard is what it says."""
    try:
        manifest: dict[str, Any] = json.loads((plan.output / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if manifest.get("plan") != plan.fingerprint:
        return None
    return None if damaged_shards(plan.output) else manifest


def damaged_shards(corpus: str | Path) -> list[str]:
    """Names of the shards that are missing, or not what the manifest says."""
    folder = Path(locate(str(corpus))) / SHARDS
    files = {entry["name"]: entry["sha256"] for entry in read_manifest(corpus)["shards"]}
    return [
        name for name, sha256 in files.items() if not (folder / name).is_file() or hash_file(folder / name) != sha256
    ]


def current_version(output: Path) -> str:
    """Content hash of what lies in the output folder; empty if nothing does."""
    try:
        return str(json.loads((output / MANIFEST).read_text(encoding="utf-8"))["content_hash"])
    except (OSError, ValueError, KeyError):
        return ""


def _funnel(plan: CorpusPlan, counts: Mapping[str, int], results: list[dict[str, Any]], kept: int) -> Funnel:
    """The whole job's books, checked.

    Raises:
        DataError: a row got lost, or came twice.
    """
    whole = Funnel()
    for result in results:
        part = result["funnel"]
        whole.rows_in += part["rows_in"]
        whole.quarantined.update(part["quarantined"])
        whole.dropped.update({(stage, reason): rows for stage, reason, rows in part["dropped"]})
    dropped = plan.dropped(counts)
    whole.dropped.update({("dedup", reason): rows for reason, rows in dropped.items() if rows})
    whole.kept = kept
    whole.check(sum(result["rows_read"] for result in results))
    return whole


def _collect(plan: CorpusPlan, stage: str, name: str, folder: Path) -> None:
    """One file of all units' lines, in their order; none where there is no line."""
    units = range(len(plan.inputs.units))
    if not any((plan.pieces.folder(stage, unit) / name).stat().st_size for unit in units):
        return
    folder.mkdir()
    with (folder / f"{folder.name}.jsonl").open("wb") as sink:
        for unit in units:
            with (plan.pieces.folder(stage, unit) / name).open("rb") as source:
                shutil.copyfileobj(source, sink)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
