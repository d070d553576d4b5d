"""Augmentation: which operators run, how often, and how strength follows the model."""

from dataclasses import dataclass

from r1ray.config.base import require, require_choice, require_range
from r1ray.errors import ConfigError

OPERATORS = (
    "parameters",
    "numeric",
    "inversion",
    "counterexample",
    "synonyms",
    "back_translation",
    "masked",
    "insertion",
    "deletion",
    "swap",
    "typos",
    "time_window",
    "mixing",
    "drop_step",
    "shuffle_steps",
)
"""Every operator, in the order in which they are applied where they are composed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentConfig:
    """Variants of rows. Off while `operators` is empty."""

    operators: tuple[str, ...] = ()
    """Names, each with an optional probability: `parameters`, `typos@0.1`. Empty = no augmentation."""
    probability: float = 0.3
    """With which an operator is applied to a row, where the operator names none of its own."""
    copies: int = 1
    """Attempts of each operator at each row; each has a random stream of its own."""
    compose: bool = False
    """Apply the operators that were drawn for a row one after the other, to one variant; off = a variant each."""
    keep: str = "all"
    """Which variants become rows: `verified` alone, or `all` that were not rejected."""
    seed: int = 0
    """A row's variants are a function of this and the row's id."""
    wordnet: str = "/usr/share/wordnet"
    """Folder of WordNet's files, for `synonyms` (Debian: wordnet-base)."""
    translator: str = "apertium:eng-spa,spa-eng"
    """For `back_translation`: `apertium:there,back` (directions), `transformers:there,back` (models), or
    `chat:url,model` (an OpenAI-compatible endpoint; its key is read from the variable OPENAI_API_KEY)."""
    masked_model: str = ""
    """Path or id of a masked language model, for `masked`."""

    def __post_init__(self) -> None:
        self.probabilities()
        require_range("augment.probability", self.probability, 0, 1)
        require_range("augment.copies", self.copies, 1)
        require_choice("augment.keep", self.keep, ("all", "verified"))
        kind, _, parts = self.translator.partition(":")
        require_choice("augment.translator", kind, ("apertium", "transformers", "chat"))
        require(parts.count(",") == 1, "augment.translator", self.translator, "`kind:there,back` or `chat:url,model`")
        if "masked" in self.probabilities() and not self.masked_model:
            raise ConfigError("augment.operators names `masked`; set augment.masked_model to a masked language model.")

    def probabilities(self) -> dict[str, float]:
        """Probability of each operator that is named, in the order of application."""
        named: dict[str, float] = {}
        for entry in self.operators:
            name, separator, text = entry.partition("@")
            require_choice("augment.operators", name, OPERATORS)
            valid = not separator or (text.replace(".", "", 1).isdigit() and 0 <= float(text) <= 1)
            require(valid, "augment.operators", entry, "`name` or `name@probability`")
            require(name not in named, "augment.operators", entry, "every name once")
            named[name] = float(text) if separator else self.probability
        return {name: named[name] for name in OPERATORS if name in named}


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptiveConfig:
    """Augmentation that follows the loss of the model in training."""

    base: float = 0.3
    """Probability of an operator while the smoothed loss lies between `low` and `high`."""
    high: float = 0.8
    """Smoothed loss (nats a token) above which the probability is `base` times `raised`."""
    low: float = 0.3
    """Smoothed loss below which it is `base` times `lowered`."""
    raised: float = 1.5
    """Factor while the loss is high."""
    lowered: float = 0.7
    """Factor while the loss is low."""
    decay: float = 0.9
    """Of the loss's moving average, per observation; 0 = the last loss alone."""

    def __post_init__(self) -> None:
        require_range("adaptive.base", self.base, 0, 1)
        require_range("adaptive.decay", self.decay, 0, 0.9999)
        require(self.low < self.high, "adaptive.low", self.low, f"less than adaptive.high ({self.high})")
        require_range("adaptive.raised", self.raised, 0)
        require_range("adaptive.lowered", self.lowered, 0)
