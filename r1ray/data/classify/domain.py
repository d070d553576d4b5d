"""What a text is about: the filter, and training it on texts of each domain."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from r1ray.config.classify import DOMAINS, DomainConfig
from r1ray.data.classify.classifier import Classifier, NgramClassifier, train_classifier
from r1ray.data.classify.features import Ngrams
from r1ray.data.classify.lexicons import LEXICONS
from r1ray.data.classify.noise import cut_passages, open_model, shipped
from r1ray.data.verdict import Drop

GENERAL = "general"
NGRAMS = Ngrams(bits=15, chars=(3,), words=(1, 2), max_chars=2000)


@dataclass(frozen=True, slots=True)
class Domain:
    """What a text seems to be about."""

    name: str
    score: float
    """Probability."""


def domains_of(texts: Sequence[str], config: DomainConfig, classifier: Classifier | None = None) -> list[Domain]:
    """The domain of each text; `general` where the model is less sure than `config.threshold`. Give it many at once."""
    model = classifier or (open_model(config.model) if config.model else shipped("domain.npz"))
    found = []
    for row in model.probabilities(texts).tolist():
        score = max(row)
        name = model.labels[row.index(score)]
        found.append(Domain(name if score >= config.threshold else GENERAL, score))
    return found


def judge_domain(found: Domain, config: DomainConfig) -> Drop | None:
    """A dropped row where only other domains are kept; nothing is asked where none is named."""
    if not config.keep or found.name in config.keep:
        return None
    return Drop(stage="clean", reason="domain", detail=f"{found.name} ({found.score:.2f})")


def train_domain(
    texts: Mapping[str, Iterable[str]],
    *,
    seed: int = 0,
    ngrams: Ngrams = NGRAMS,
    lexicons: Mapping[str, frozenset[str]] = LEXICONS,
) -> NgramClassifier:
    """A domain classifier from texts by domain; domains of the user's own are as good as ours."""
    draw = Random(seed)
    pairs = [
        (passage, name) for name, members in texts.items() for text in members for passage in cut_passages(text, draw)
    ]
    known = [name for name in DOMAINS if name in texts]
    return train_classifier(
        [text for text, _ in pairs],
        [name for _, name in pairs],
        ngrams=ngrams,
        lexicons=lexicons,
        order=[*known, *sorted(set(texts) - set(known))],
    )
