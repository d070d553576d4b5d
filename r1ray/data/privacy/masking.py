"""Masking of a document: equal values get equal placeholders, in all of its fields."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from r1ray.config.corpus import PrivacyConfig
from r1ray.data.privacy.detectors import DETECTORS, Detector
from r1ray.data.privacy.spans import Span, without_overlaps


class Masker:
    """Placeholders of one document: `<EMAIL_1>` is the same address wherever it stands.

    Args:
        detectors: functions from a text to the places in it, the more certain ones first.
    """

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._detectors = detectors
        self._placeholders: dict[tuple[str, str], str] = {}
        self._seen: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        """Places masked, by kind."""

    def mask(self, text: str) -> str:
        """The text with what the detectors find replaced."""
        return self.replace(text, without_overlaps(span for detector in self._detectors for span in detector(text)))

    def replace(self, text: str, spans: Sequence[Span]) -> str:
        """The text with these places replaced; they are in order and apart."""
        parts, end = [], 0
        for span in spans:
            parts += [text[end : span.start], self._placeholder(span.kind, span.value)]
            self.counts[span.kind] += 1
            end = span.end
        return "".join([*parts, text[end:]])

    def _placeholder(self, kind: str, value: str) -> str:
        if (kind, value) not in self._placeholders:
            self._seen[kind] += 1
            self._placeholders[kind, value] = f"<{kind}_{self._seen[kind]}>"
        return self._placeholders[kind, value]


def mask_row(
    row: Mapping[str, Any], fields: Sequence[str], config: PrivacyConfig, extra: Sequence[Detector] = ()
) -> tuple[dict[str, Any], dict[str, int]]:
    """The row with its text fields masked, and the number of places by kind.

    Args:
        row: of any fields; it is one document.
        fields: names of the fields that hold text; those that the row lacks are passed over.
        config: which detectors run.
        extra: further ones, such as presidio's for names and addresses.
    """
    masker = Masker([*(DETECTORS[name] for name in DETECTORS if name in config.detectors), *extra])
    masked = dict(row)
    for name in fields:
        if isinstance(value := row.get(name), str):
            masked[name] = masker.mask(value)
    return masked, dict(masker.counts)
