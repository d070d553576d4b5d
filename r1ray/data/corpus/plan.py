"""The stages of a corpus job in their order, each a function of one piece's number: whoever maps them."""

import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from r1ray.config.jobs import CorpusJobConfig
from r1ray.config.serialise import to_dict
from r1ray.data.clean.repair import decoder_name
from r1ray.data.corpus import duplicates, meaning, read, shards, synthesis, tokens
from r1ray.data.corpus.grow import POOL, make_augmenter, make_pool, wants_pool
from r1ray.data.corpus.pieces import Pieces
from r1ray.data.corpus.prepare import evaluation_index, prepare
from r1ray.data.corpus.units import Inputs
from r1ray.data.dedup.shingles import Ints, offsets_of
from r1ray.data.files import expand
from r1ray.data.privacy.names import extra_detectors
from r1ray.data.versions import WORK, beside
from r1ray.runs.files import hash_file

FORMAT = 2
"""Of the pieces: unfinished work of another format is not gone on with."""
_NOT_CONTENT = ("output", "work_cpus", "keep")
"""Settings that do not change what comes out."""
_DROPPING = {
    duplicates.EXACT: "exact duplicate",
    duplicates.VERIFY: "near duplicate",
    meaning.MEANING: "same meaning",
}
"""Stages of deduplication that take rows out, and the reason that the books give."""
_TEACHER = ("policy", "engine")
"""Groups of settings that count only where the policy is the teacher."""

Work = Callable[[int], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Stage:
    """Pieces that can be made side by side."""

    name: str
    pieces: int
    work: Work
    local: bool = False
    """Made by the driver: it holds what all of the corpus's units have in common."""


@dataclass(frozen=True, kw_only=True)
class CorpusPlan:
    """One corpus: what goes in, and the folder of its unfinished work."""

    config: CorpusJobConfig
    inputs: Inputs

    @property
    def output(self) -> Path:
        """The folder of the finished corpus."""
        return Path(self.config.corpus.output).expanduser().absolute()

    def check(self) -> None:
        """Find out before the start what would fail in every task.

        Raises:
            R1RayError: evaluation problems, a classifier or a model or an operator's data cannot be read.
        """
        prepare([], self.config)
        extra_detectors(self.config.privacy)
        if self.config.decontaminate.against:
            evaluation_index(self.config.decontaminate)
        if self.config.augment.operators:
            make_augmenter(self.config.augment)
        if self.config.semantic.enabled:
            meaning.load_embedder(self.config.semantic)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Names everything that the result depends on."""
        settings = content_settings(self.config)
        others = [_content_of(path) for path in _files_beside(self.config)]
        text = json.dumps([FORMAT, settings, self.inputs.fingerprint(), others, decoder_name()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def pieces(self) -> Pieces:
        """The unfinished work of this plan, wherever it was left."""
        return Pieces(beside(self.output) / WORK / self.fingerprint[:16])

    @property
    def partitions(self) -> int:
        """Partitions of the stages that shuffle: their memory does not grow with the input."""
        return max(1, math.ceil(self.inputs.bytes / 2**20 / self.config.corpus.partition_mib))

    def stages(self) -> Iterator[Stage]:
        """Every stage, in order. How many pieces one has may depend on what those before it found: ask for the next one
        when its forerunner is complete."""
        config, pieces, units, partitions = self.config, self.pieces, self.inputs.units, self.partitions
        yield Stage(read.STAGE, len(units), lambda unit: read.read_unit(pieces, unit, units[unit], config, partitions))
        bases = self._bases()
        parts: dict[str, int] = {}
        for stage in self._deduplication(bases):
            yield stage
            if stage.name in _DROPPING:
                parts[stage.name] = stage.pieces
        left = int(bases[-1]) - sum(self.dropped(parts).values())
        if wants_pool(config.augment):
            yield Stage(POOL, 1, lambda _: make_pool(pieces, bases, parts), local=True)
        sources = len(units)
        if config.synthesize.generations:
            yield Stage(
                synthesis.SYNTHESIZE,
                1,
                lambda _: synthesis.synthesize_rows(pieces, bases, parts, config),
                local=True,
            )
            left += pieces.result(synthesis.SYNTHESIZE)["rows"]
            sources += 1
        count = self._shards(left, int(bases[-1]))
        yield Stage(
            shards.SPLIT,
            sources,
            lambda unit: (
                shards.split_unit(pieces, unit, int(bases[unit]), parts, count, config)
                if unit < len(units)
                else shards.split_synthesis(pieces, unit, count)
            ),
        )
        yield Stage(shards.SHARDS, count, lambda shard: shards.write_shard(pieces, shard, sources, count, config))
        if config.corpus.tokenizer:
            yield Stage(tokens.TOKENS, count, lambda shard: tokens.tokenise_shard(pieces, shard, config))

    def _deduplication(self, bases: Ints) -> Iterator[Stage]:
        """Equal texts, near ones, and those of the same meaning."""
        config, pieces, units, partitions = self.config, self.pieces, len(self.inputs.units), self.partitions
        parts: dict[str, int] = {}
        exact = parts[duplicates.EXACT] = partitions if config.dedup.exact else 0
        yield Stage(duplicates.EXACT, exact, lambda part: duplicates.find_exact(pieces, part, bases))
        if config.dedup.near:
            yield Stage(
                duplicates.BUCKETS,
                partitions,
                lambda part: duplicates.find_candidates(pieces, part, bases, exact, config),
            )
            yield Stage(duplicates.GRAPH, 1, lambda _: duplicates.build_graph(pieces, partitions), local=True)
            groups = parts[duplicates.VERIFY] = pieces.result(duplicates.GRAPH)["groups"]
            yield Stage(
                duplicates.SUSPECTS,
                units if groups else 0,
                lambda unit: duplicates.extract_suspects(pieces, unit, int(bases[unit]), config),
            )
            yield Stage(duplicates.VERIFY, groups, lambda group: duplicates.verify_group(pieces, group, units, config))
        if config.semantic.enabled:
            before = dict(parts)
            yield Stage(
                meaning.EMBED, units, lambda unit: meaning.embed_unit(pieces, unit, int(bases[unit]), before, config)
            )
            yield Stage(meaning.MEANING, 1, lambda _: meaning.find_meanings(pieces, units, config))

    def dropped(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Rows that deduplication took out, by reason.

        Args:
            counts: pieces of each stage that has run.
        """
        return {
            reason: sum(self.pieces.result(stage, part)["dropped"] for part in range(counts.get(stage, 0)))
            for stage, reason in _DROPPING.items()
        }

    def _shards(self, rows: int, before: int) -> int:
        """How many shards these rows come into, if they are as long as those before deduplication were on average."""
        results = (self.pieces.result(read.STAGE, unit) for unit in range(len(self.inputs.units)))
        mib: float = sum(result["characters"] for result in results) * rows / max(1, before) / 2**20
        return max(1, math.ceil(rows / self.config.corpus.shard_rows), math.ceil(mib / self.config.corpus.shard_mib))

    def _bases(self) -> Ints:
        """Rows in the units before each one, and in all of them."""
        rows = [self.pieces.result(read.STAGE, unit)["rows"] for unit in range(len(self.inputs.units))]
        return offsets_of(np.array(rows, np.int64))


def _files_beside(config: CorpusJobConfig) -> list[str]:
    """Files whose content the result depends on, besides the input."""
    against = [file for path in config.decontaminate.against for file in expand(path)]
    return [*against, *(model for model in (config.noise.model, config.domain.model) if model)]


def _content_of(path: str) -> str:
    local = Path(path).expanduser()
    return hash_file(local) if local.is_file() else path


def content_settings(config: CorpusJobConfig) -> dict[str, Any]:
    """The settings that the content of a corpus depends on."""
    settings = {name: group for name, group in to_dict(config).items() if name != "run"}
    if config.synthesize.teacher != "engine":
        settings = {name: group for name, group in settings.items() if name not in _TEACHER}
    settings["corpus"] = {name: value for name, value in settings["corpus"].items() if name not in _NOT_CONTENT}
    return {**settings, "seed": config.run.seed}
