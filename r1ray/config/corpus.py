"""How a corpus is cleaned, deduplicated, decontaminated and masked."""

from dataclasses import dataclass

from r1ray.config.base import require, require_choice, require_range

PROFILES = ("reasoning", "web")
MAPPED = ("question", "solution", "answer", "text", "family", "level", "parent", "metadata")
DETECTORS = ("email", "phone", "credit_card", "iban", "ip", "national_id")
NAME_DETECTORS = ("person", "address")
"""By a model that recognises entities (extra `pii`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusConfig:
    """What comes in, and where the finished corpus lies."""

    input: tuple[str, ...] = ()
    """Files, folders, globs and URIs of raw rows (JSONL, JSON, CSV, parquet, WARC, HTML), `hf:owner/name` for a data
    set of the Hugging Face hub, `generate:chain:1-3` for a family of problems; empty = generate from `families`."""
    output: str = "corpora/mix"
    """Folder of the finished corpus: shards, manifest and quarantine. Versions and unfinished work lie beside it, under
    `.mix`."""
    mapping: tuple[str, ...] = ()
    """How other fields are called, `question=prompt` or `answer=meta.gold`; a row without a known field is
    quarantined."""
    text_fields: tuple[str, ...] = ("text", "question", "solution", "answer")
    """Fields that are cleaned and masked; together, in this order, they are the row's text for deduplication."""
    families: tuple[str, ...] = ("chain:1-4", "story:2-3", "shop:2-3", "compare:1-2")
    """What is generated, in the words of problems.families."""
    count: int = 4000
    """Generated problems in all."""
    max_number: int = 30
    """Largest number that a generated problem gives."""
    unit_mib: float = 16.0
    """MiB of input in one unit of work, and so what is done again after a crash. A compressed or remote file is one
    unit, read as a stream."""
    max_line_mib: float = 16.0
    """MiB beyond which a line is quarantined rather than read."""
    shard_rows: int = 20_000
    """Most rows in one shard, about."""
    shard_mib: float = 64.0
    """Most MiB of text in one shard, about: a shard is sorted in memory, so long documents come in fewer rows."""
    tokenizer: str = ""
    """Model whose tokenizer turns the rows into packed shards of token ids, under `tokens/`; empty = none."""
    partition_mib: float = 256.0
    """MiB of input that one partition of the shuffle stands for: what deduplication holds in memory at a time."""
    work_cpus: float = 1.0
    """CPUs booked by one task."""
    keep: int = 0
    """Versions that stay, the newest ones; work that was left for a day goes too. 0 = all stay."""

    def __post_init__(self) -> None:
        require(bool(self.output), "corpus.output", self.output, "a folder")
        require(bool(self.text_fields), "corpus.text_fields", self.text_fields, "the name of at least one field")
        require(bool(self.input or self.families), "corpus.families", self.families, "a family, or corpus.input")
        for pair in self.mapping:
            known, _, given = pair.partition("=")
            require(bool(known and given), "corpus.mapping", pair, "`question=prompt`: known field, `=`, field given")
            require_choice("corpus.mapping", known, MAPPED)
        for name in ("unit_mib", "max_line_mib", "shard_mib", "partition_mib"):
            require_range(f"corpus.{name}", getattr(self, name), 0.001)
        for name in ("count", "shard_rows"):
            require_range(f"corpus.{name}", getattr(self, name), 1)
        require_range("corpus.max_number", self.max_number, 2)
        require_range("corpus.keep", self.keep, 0)
        require(self.work_cpus > 0, "corpus.work_cpus", self.work_cpus, "more than 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanConfig:
    """Repairs, and which rows are worth keeping."""

    repair: bool = True
    """Mend encodings, entities, line ends and control characters before anything is judged."""
    profile: str = "reasoning"
    """`web` = the quality and repetition rules of Gopher (arXiv 2112.11446, section A1.1); `reasoning` = rules that
    leave mathematics alone."""
    languages: tuple[str, ...] = ()
    """ISO 639-1 codes to keep; empty = any. Text without enough words to tell passes."""
    language_score: float = 0.5
    """Certainty below which a row's language counts as unknown."""

    def __post_init__(self) -> None:
        require_choice("clean.profile", self.profile, PROFILES)
        require_range("clean.language_score", self.language_score, 0, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class DedupConfig:
    """Exact duplicates, then near ones: MinHash proposes pairs, the true Jaccard similarity decides."""

    exact: bool = True
    """Drop rows whose normalised text is another row's."""
    near: bool = True
    """Drop rows that share most of their shingles with another row."""
    threshold: float = 0.85
    """Least Jaccard similarity of two near duplicates."""
    words: int = 5
    """Words in a shingle; numbers stay as they are, or every problem of a template would be a duplicate."""
    bands: int = 16
    """Bands of the signature; rows that agree on one whole band are compared."""
    rows: int = 8
    """Hash values in a band; bands x rows = length of the signature (128)."""
    max_bucket: int = 1000
    """Rows in one bucket that are all compared with each other; in larger ones, each with this many that follow it.
    Templates would otherwise cost the square of their number."""
    seed: int = 1
    """Of the hash functions."""

    def __post_init__(self) -> None:
        require(0 < self.threshold <= 1, "dedup.threshold", self.threshold, "more than 0, at most 1")
        for name in ("words", "bands", "rows"):
            require_range(f"dedup.{name}", getattr(self, name), 1)
        require_range("dedup.max_bucket", self.max_bucket, 2)
        require_range("dedup.seed", self.seed, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class DecontaminateConfig:
    """Rows that contain an evaluation problem are dropped."""

    against: tuple[str, ...] = ()
    """Files of evaluation problems; empty = no decontamination."""
    words: int = 8
    """Words in an n-gram."""
    containment: float = 0.5
    """Share of an evaluation problem's n-grams that a row must have; one shared phrase is no leak."""
    max_shared: int = 3
    """n-grams of more evaluation problems than this are phrases of a template, and count for nothing."""

    def __post_init__(self) -> None:
        require_range("decontaminate.words", self.words, 1)
        require(0 < self.containment <= 1, "decontaminate.containment", self.containment, "more than 0, at most 1")
        require_range("decontaminate.max_shared", self.max_shared, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivacyConfig:
    """What is masked. Detectors prefer to miss a number rather than to mask one that belongs to a problem."""

    detectors: tuple[str, ...] = DETECTORS
    """Which detectors run; empty = nothing is masked. `person` and `address` besides, with the extra `pii`: by a model
    that recognises entities, and so not for problems, whose people are invented."""
    name_model: str = "en_core_web_lg"
    """Of `person` and `address`: name or folder of a spaCy pipeline."""

    def __post_init__(self) -> None:
        for name in self.detectors:
            require_choice("privacy.detectors", name, DETECTORS + NAME_DETECTORS)
        require(bool(self.name_model), "privacy.name_model", self.name_model, "a pipeline's name or folder")
