"""Whether a text is debris: the filter, and training it on clean text and corruptions of it."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from random import Random

from r1ray.config.classify import NoiseConfig
from r1ray.data.classify.classifier import Classifier, NgramClassifier, load_classifier, train_classifier
from r1ray.data.classify.corruptions import CORRUPTIONS, Corruption
from r1ray.data.classify.features import Ngrams
from r1ray.data.clean.language import UNKNOWN, identify
from r1ray.data.verdict import Drop
from r1ray.errors import ConfigError

NOISE, CLEAN = "noise", "clean"
NGRAMS = Ngrams(bits=15, chars=(1, 2, 3, 4), words=(1, 2), max_chars=2000)
LANGUAGES = ("en", UNKNOWN)
"""What the classifier that comes with r1ray has seen: text that is surely in another language passes it unjudged."""
SURE = 0.5
"""Score above which a language is sure. Single letters between blanks look a little like several."""


def judge_noise(texts: Sequence[str], config: NoiseConfig, classifier: Classifier | None = None) -> list[Drop | None]:
    """Why each text is dropped; `None` where it is kept. Give it many at once.

    Args:
        texts: of rows.
        config: threshold, and which model where none is given.
        classifier: with `config.label` among its labels.

    Raises:
        ConfigError: the model has no such label.
    """
    if not config.enabled:
        return [None] * len(texts)
    model = classifier or (open_model(config.model) if config.model else shipped("noise.npz"))
    if config.label not in model.labels:
        raise ConfigError(f"noise.label is {config.label!r}, but the model's labels are {', '.join(model.labels)}.")
    # Long without blanks is not short: Base64 is one word.
    chosen = [
        n
        for n, text in enumerate(texts)
        if len(text) >= 8 * config.least_words or len(text.split()) >= config.least_words
    ]
    if not config.model and classifier is None:
        chosen = [n for n in chosen if not _foreign(texts[n])]
    verdicts: list[Drop | None] = [None] * len(texts)
    scores = model.probabilities([texts[n] for n in chosen])[:, list(model.labels).index(config.label)]
    for n, score in zip(chosen, scores.tolist(), strict=True):
        if score >= config.threshold:
            verdicts[n] = Drop(stage="clean", reason="noise", detail=f"{score:.3f}")
    return verdicts


def train_noise(
    clean: Iterable[str],
    *,
    noise: Iterable[str] = (),
    corruptions: Mapping[str, Corruption] = CORRUPTIONS,
    seed: int = 0,
    ngrams: Ngrams = NGRAMS,
) -> NgramClassifier:
    """A noise classifier from clean texts alone, or with real noise besides.

    Every passage of clean text comes once as it is and once corrupted, so neither topic nor length tells them apart.

    Args:
        clean: readable texts of the kind that is to be kept.
        noise: texts that are none.
        corruptions: by which noise is made.
        seed: of what is cut and corrupted.
        ngrams: what is counted.
    """
    draw = Random(seed)
    kinds = list(corruptions.values())
    passages = [passage for text in clean for passage in cut_passages(text, draw)]
    spoiled = [draw.choice(kinds)(passage, draw) for passage in passages]
    debris = [passage for text in noise for passage in cut_passages(text, draw)]
    texts = [*passages, *spoiled, *debris]
    labels = [CLEAN] * len(passages) + [NOISE] * (len(spoiled) + len(debris))
    return train_classifier(texts, labels, ngrams=ngrams, order=(CLEAN, NOISE))


def cut_passages(text: str, draw: Random, most: int = 12) -> list[str]:
    """Up to `most` pieces of 8 to 250 words; a short text is one piece."""
    pieces: list[str] = []
    start = 0
    while start < len(text) and len(pieces) < most:
        length = int(50 * 30 ** draw.random())  # characters, 50 to 1500
        end = text.find(" ", start + length)
        end = len(text) if end < 0 else end
        if len(text[start:end].split()) >= 8 or not pieces:
            pieces.append(text[start:end])
        start = end + 1
    return [piece for piece in pieces if piece.strip()]


def _foreign(text: str) -> bool:
    language = identify(text)
    return language.code not in LANGUAGES and language.score > SURE


@lru_cache(maxsize=4)
def open_model(model: str) -> Classifier:
    """A `.npz` of ours, or a Hugging Face sequence classifier."""
    if model.endswith(".npz"):
        return load_classifier(Path(model).expanduser())
    from r1ray.data.classify.huggingface import HuggingFaceClassifier  # brings torch and transformers

    return HuggingFaceClassifier(model)


@lru_cache(maxsize=4)
def shipped(name: str) -> NgramClassifier:
    """A classifier that comes with r1ray: `noise.npz`, `domain.npz`."""
    with as_file(files("r1ray.data.classify") / name) as path:
        return load_classifier(path)
