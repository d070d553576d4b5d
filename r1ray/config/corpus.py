"""How a corpus is cleaned, deduplicated, decontaminated and masked."""

from dataclasses import dataclass

from r1ray.config.base import require, require_choice, require_range

PROFILES = ("reasoning", "web")
DETECTORS = ("email", "phone", "credit_card", "iban", "ip", "national_id")


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusConfig:
    """What comes in, and where the finished corpus lies."""

    input: str = ""
    """File, folder, glob or URI of raw rows; empty = generate a small corpus."""
    output: str = "corpora/mix"
    """Folder of the finished corpus: shards, manifest, quarantine and report."""
    text_fields: tuple[str, ...] = ("text", "question", "solution", "answer")
    """Fields that are cleaned and masked; together, in this order, they are the row's text for deduplication."""

    def __post_init__(self) -> None:
        require(bool(self.output), "corpus.output", self.output, "a folder")
        require(bool(self.text_fields), "corpus.text_fields", self.text_fields, "the name of at least one field")


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
    """Which detectors run; empty = nothing is masked."""

    def __post_init__(self) -> None:
        for name in self.detectors:
            require_choice("privacy.detectors", name, DETECTORS)
