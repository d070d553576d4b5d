"""Whether passages must not be said, as far as a text classifier can tell."""

from collections.abc import Sequence

from r1ray.config.serve_parts import GuardConfig
from r1ray.errors import ConfigError
from r1ray.serve.guard.toxicity import SHIPPED, open_classifier, plain


class PassageClassifier:
    """The classifier of a configuration with its labels and its threshold.

    Raises:
        ConfigError: a label is not the classifier's.
        DataError, ModelError: the classifier cannot be read.
    """

    def __init__(self, config: GuardConfig) -> None:
        self._model, self._threshold = open_classifier(config.classifier), config.threshold
        labels = list(self._model.labels)
        for label in config.labels:
            if label not in labels:
                raise ConfigError(f"guard.labels has {label!r}, but the model's labels are {', '.join(labels)}.")
        self._columns = [labels.index(label) for label in config.labels]
        self.quick = is_quick(config)

    def forbids(self, passages: Sequence[str]) -> list[bool]:
        """Of each passage."""
        # Classifiers of ours have learned from plain text; a checkpoint from elsewhere has not.
        texts = [plain(text) if self.quick else text for text in passages]
        asked = [place for place, text in enumerate(texts) if text]
        found = [False] * len(texts)
        rows = self._model.probabilities([texts[place] for place in asked]) if asked else ()
        for place, row in zip(asked, rows, strict=True):
            found[place] = float(sum(row[column] for column in self._columns)) >= self._threshold
        return found


def is_quick(config: GuardConfig) -> bool:
    """Whether the classifier counts n-grams (0.4 ms a look) instead of running a network (a hundred)."""
    return config.classifier == SHIPPED or config.classifier.endswith(".npz")
