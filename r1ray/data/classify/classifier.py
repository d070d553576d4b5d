"""A text classifier as one small file: labels, which n-grams, word lists, and weights of sixteen bits."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from r1ray.data.classify.features import Ngrams
from r1ray.data.classify.logistic import Floats, fit, probabilities
from r1ray.errors import DataError

_BATCH = 512


class Classifier(Protocol):
    """What noise and domain filters need."""

    @property
    def labels(self) -> Sequence[str]:
        """Names of the classes."""
        ...

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """[N, C], each row of sum one."""
        ...


class Embeds(Protocol):
    """Texts to vectors: `models.embedding.Embedder`."""

    def __call__(self, texts: Sequence[str]) -> Any:
        """[N, D]"""
        ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NgramClassifier:
    """Logistic regression on hashed n-grams and word lists."""

    labels: tuple[str, ...]
    ngrams: Ngrams
    lexicons: Mapping[str, frozenset[str]]
    weights: Any
    """float32 [C, 2^bits + SHAPES + lexicons]"""
    bias: Any
    """float32 [C]"""

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """[N, C]"""
        parts = [
            probabilities(self.ngrams.vectors(texts[start : start + _BATCH], self.lexicons), self.weights, self.bias)
            for start in range(0, len(texts), _BATCH)
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(self.labels)))

    def save(self, path: Path) -> None:
        """Write one `.npz`; the same classifier gives the same bytes."""
        spec = {
            "labels": self.labels,
            "ngrams": asdict(self.ngrams),
            "lexicons": [[name, sorted(words)] for name, words in self.lexicons.items()],  # in the order of the weights
        }
        arrays = {
            "weights": self.weights.astype(np.float16),
            "bias": np.asarray(self.bias, np.float32),
            "spec": np.frombuffer(json.dumps(spec, sort_keys=True).encode(), np.uint8),
        }
        np.savez_compressed(path, **arrays)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EmbeddingClassifier:
    """Logistic regression on embeddings, a language model's averaged hidden states."""

    labels: tuple[str, ...]
    embed: Embeds
    weights: Any
    bias: Any

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """[N, C]"""
        return probabilities(np.asarray(self.embed(texts), np.float64), self.weights, self.bias)


def train_classifier(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    ngrams: Ngrams,
    lexicons: Mapping[str, frozenset[str]] | None = None,
    order: Sequence[str] = (),
    l2: float = 1e-6,
) -> NgramClassifier:
    """Fit a classifier to texts with labels.

    Args:
        texts: N of them.
        labels: the name of each one's class.
        ngrams: what is counted.
        lexicons: word lists whose share of the text counts besides.
        order: of the labels; empty = sorted.
        l2: penalty on the weights.
    """
    names = tuple(order) or tuple(sorted(set(labels)))
    lists = dict(lexicons or {})
    numbers = [names.index(label) for label in labels]
    weights, bias = fit(ngrams.vectors(texts, lists), numbers, len(names), l2=l2)
    return NgramClassifier(
        labels=names,
        ngrams=ngrams,
        lexicons=lists,
        weights=weights.astype(np.float32),
        bias=bias.astype(np.float32),
    )


def train_on_embeddings(
    texts: Sequence[str], labels: Sequence[str], embed: Embeds, *, order: Sequence[str] = (), l2: float = 1e-4
) -> EmbeddingClassifier:
    """Fit a classifier to the embeddings of texts with labels."""
    names = tuple(order) or tuple(sorted(set(labels)))
    vectors = np.asarray(embed(texts), np.float64)
    weights, bias = fit(vectors, [names.index(label) for label in labels], len(names), l2=l2)
    return EmbeddingClassifier(labels=names, embed=embed, weights=weights, bias=bias)


def load_classifier(path: Path) -> NgramClassifier:
    """A classifier that `save` wrote.

    Raises:
        DataError: the file is none.
    """
    try:
        with np.load(path) as found:
            spec = json.loads(found["spec"].tobytes())
            weights = found["weights"].astype(np.float32)
            bias = found["bias"]
        ngrams: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in spec["ngrams"].items()
        }
        return NgramClassifier(
            labels=tuple(spec["labels"]),
            ngrams=Ngrams(**ngrams),
            lexicons={name: frozenset(words) for name, words in spec["lexicons"]},
            weights=weights,
            bias=bias,
        )
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} is no classifier that r1ray can read ({type(error).__name__}: {error}). Expected a .npz that "
            "training wrote."
        ) from error
