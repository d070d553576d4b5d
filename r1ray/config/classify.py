"""Which rows a small classifier takes for noise, and which domains are kept."""

from dataclasses import dataclass

from r1ray.config.base import require, require_choice, require_range

DOMAINS = ("medical", "finance", "law", "mathematics", "code", "general")


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseConfig:
    """A classifier of readable text against debris: markup, dumps, broken encodings, menus, gibberish."""

    enabled: bool = True
    """Off = nothing is dropped as noise."""
    model: str = ""
    """Empty = the one that comes with r1ray; a `.npz` that training wrote; or a folder or id of a Hugging Face sequence
    classifier."""
    label: str = "noise"
    """The model's name for noise; a Hugging Face checkpoint may call it otherwise (`LABEL_0`)."""
    threshold: float = 0.9
    """Probability of noise from which a row is dropped."""
    least_words: int = 8
    """Shorter texts say too little to be judged, and pass."""

    def __post_init__(self) -> None:
        require(bool(self.label), "noise.label", self.label, "the name of a label")
        require(0 < self.threshold <= 1, "noise.threshold", self.threshold, "more than 0, at most 1")
        require_range("noise.least_words", self.least_words, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainConfig:
    """What a row is about: medicine, finance, law, mathematics, code, or anything else."""

    enabled: bool = True
    """Off = no domain is noted."""
    keep: tuple[str, ...] = ()
    """Domains that are kept; empty = all, and the domain is only noted."""
    model: str = ""
    """Empty = the one that comes with r1ray; a `.npz` that training wrote; or a folder or id of a Hugging Face sequence
    classifier, whose labels then are the domains."""
    threshold: float = 0.5
    """Probability below which a domain counts as `general`."""

    def __post_init__(self) -> None:
        require_range("domain.threshold", self.threshold, 0, 1)
        if not self.model:
            for name in self.keep:
                require_choice("domain.keep", name, DOMAINS)


@dataclass(frozen=True, kw_only=True, slots=True)
class SemanticDedupConfig:
    """Near duplicates in other words, by the cosine of embeddings. Off by default: it costs a forward pass a row."""

    enabled: bool = False
    """Whether it runs."""
    model: str = "HuggingFaceTB/SmolLM2-135M-Instruct"
    """Whose hidden states are averaged: the policy, or any encoder that transformers opens."""
    max_tokens: int = 256
    """Tokens of a text that are read."""
    batch_tokens: int = 4096
    """Tokens of a forward pass, padding included."""
    threshold: float = 0.85
    """Least cosine of two duplicates, once the mean of all embeddings is taken away."""
    overlap: float = 0.3
    """Least share of words that a pair must have in common besides (Jaccard); 0 = not asked."""
    same_numbers: bool = True
    """Whether a pair must hold the same numbers: problems that differ in a number are different problems."""

    def __post_init__(self) -> None:
        require_range("semantic.max_tokens", self.max_tokens, 1)
        require_range("semantic.batch_tokens", self.batch_tokens, self.max_tokens)
        require(0 < self.threshold <= 1, "semantic.threshold", self.threshold, "more than 0, at most 1")
        require_range("semantic.overlap", self.overlap, 0, 1)
