"""A classifier of abuse: training it, and the one that comes with r1ray. See docs/guardrails.md for what it misses."""

import html
import re
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import as_file, files

from r1ray.data.classify.classifier import Classifier, NgramClassifier, load_classifier, train_classifier
from r1ray.data.classify.features import Ngrams
from r1ray.data.classify.noise import open_model

TOXIC, FINE = "toxic", "fine"
SHIPPED = "toxicity"
NGRAMS = Ngrams(bits=15, chars=(2, 3, 4), words=(1, 2), max_chars=2000)
_TRACES = re.compile(r"https?://\S+|@\w+|\bRT\b|#(?=\w)|^[!\"' ]+")
_BLANKS = re.compile(r"\s+")


def plain(text: str) -> str:
    """Without what only short messages have, names and links: a classifier must not learn where a text is from."""
    return _BLANKS.sub(" ", _TRACES.sub(" ", html.unescape(text))).strip().lower()


def train_toxicity(toxic: Iterable[str], fine: Iterable[str], *, ngrams: Ngrams = NGRAMS) -> NgramClassifier:
    """A classifier with the labels `fine` and `toxic`. Give it the kind of text that you serve among the fine ones."""
    pairs = [(plain(text), label) for label, texts in ((FINE, fine), (TOXIC, toxic)) for text in texts]
    return train_classifier([text for text, _ in pairs], [label for _, label in pairs], ngrams=ngrams,
                            order=(FINE, TOXIC), l2=1e-5)  # fmt: skip


@lru_cache(maxsize=4)
def open_classifier(name: str) -> Classifier:
    """`toxicity`, a `.npz`, or a Hugging Face sequence classifier."""
    if name != SHIPPED:
        return open_model(name)
    with as_file(files("r1ray.serve.guard") / "toxicity.npz") as path:
        return load_classifier(path)
