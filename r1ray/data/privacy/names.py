"""Names of people and addresses: presidio with a spaCy pipeline that recognises entities (extra `pii`)."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from r1ray.config.corpus import NAME_DETECTORS, PrivacyConfig
from r1ray.data.privacy.detectors import Detector
from r1ray.data.privacy.spans import Span
from r1ray.errors import ConfigError

_ENTITIES = {"person": "PERSON", "address": "LOCATION"}
_KINDS = {"PERSON": "PERSON", "LOCATION": "ADDRESS"}


def extra_detectors(config: PrivacyConfig) -> tuple[Detector, ...]:
    """Those of `privacy.detectors` that need a model; it is loaded once in each process.

    Raises:
        ConfigError: presidio or the pipeline is not installed.
    """
    wanted = tuple(_ENTITIES[name] for name in NAME_DETECTORS if name in config.detectors)
    return (_detector(wanted, config.name_model),) if wanted else ()


@functools.lru_cache(maxsize=1)
def _detector(entities: tuple[str, ...], model: str) -> Detector:
    return names_by(_analyzer(model), entities)


def names_by(analyzer: Any, entities: tuple[str, ...]) -> Detector:
    """A detector from presidio's analyzer: the same name is the same value, however it is written."""

    def find(text: str) -> Iterator[Span]:
        for found in analyzer.analyze(text=text, language="en", entities=list(entities)):
            value = " ".join(text[found.start : found.end].casefold().split())
            yield Span(found.start, found.end, _KINDS[found.entity_type], value)

    return find


def _analyzer(model: str) -> Any:
    try:
        import spacy.util
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import NlpEngineProvider
    except ImportError as error:
        raise ConfigError(
            f"privacy.detectors names {' or '.join(NAME_DETECTORS)}, which presidio finds, and it is not installed "
            f"({error}). Install the extra: pip install 'r1ray[pii]', or leave them out."
        ) from error
    if not (spacy.util.is_package(model) or Path(model).expanduser().is_dir()):  # presidio would try to download it
        raise ConfigError(
            f"privacy.name_model {model!r} is neither an installed spaCy pipeline nor a folder. Install it (python -m "
            f"spacy download {model}) or name another."
        )
    languages = [{"lang_code": "en", "model_name": model}]
    provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": languages})
    return AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=["en"])
