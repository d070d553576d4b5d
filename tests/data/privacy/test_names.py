"""Names and addresses by presidio: asked for only where it is wanted, and missed with a clear word."""

import importlib.util
from dataclasses import dataclass
from typing import Any

import pytest

from r1ray.config.corpus import PrivacyConfig
from r1ray.data.privacy.masking import mask_row
from r1ray.data.privacy.names import extra_detectors, names_by
from r1ray.errors import ConfigError


@dataclass
class Found:
    entity_type: str
    start: int
    end: int


class Analyzer:
    """Knows two names; is asked as presidio is."""

    def __init__(self) -> None:
        self.entities: list[str] = []

    def analyze(self, text: str, language: str, entities: list[str]) -> list[Found]:
        self.entities = entities
        known = {"Ada Lovelace": "PERSON", "ada lovelace": "PERSON", "12 Hill Road": "LOCATION"}
        return [
            Found(kind, text.index(name), text.index(name) + len(name))
            for name, kind in known.items()
            if name in text and kind in entities
        ]


def test_a_name_gets_one_placeholder_however_it_is_written() -> None:
    analyzer = Analyzer()
    row: dict[str, Any] = {"text": "Ada Lovelace lives at 12 Hill Road.", "answer": "ada lovelace, ada@x.org"}
    masked, counts = mask_row(
        row, ("text", "answer"), PrivacyConfig(), extra=[names_by(analyzer, ("PERSON", "LOCATION"))]
    )
    assert masked == {"text": "<PERSON_1> lives at <ADDRESS_1>.", "answer": "<PERSON_1>, <EMAIL_1>"}
    assert counts == {"PERSON": 2, "ADDRESS": 1, "EMAIL": 1}
    assert list(names_by(analyzer, ("PERSON",))("12 Hill Road")) == [] and analyzer.entities == ["PERSON"]


def test_nothing_is_loaded_where_no_name_is_wanted() -> None:
    assert extra_detectors(PrivacyConfig()) == ()


@pytest.mark.skipif(importlib.util.find_spec("presidio_analyzer") is not None, reason="presidio is installed")
def test_without_presidio_the_extra_is_named() -> None:
    with pytest.raises(ConfigError, match=r"pip install 'r1ray\[pii\]'"):
        extra_detectors(PrivacyConfig(detectors=("email", "person")))


@pytest.mark.skipif(importlib.util.find_spec("presidio_analyzer") is None, reason="needs the extra pii")
def test_a_pipeline_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="spacy download xx_nothing"):
        extra_detectors(PrivacyConfig(detectors=("person",), name_model="xx_nothing"))
