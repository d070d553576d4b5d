import pytest

from r1ray.config.corpus import CleanConfig, CorpusConfig, DecontaminateConfig, DedupConfig, PrivacyConfig
from r1ray.errors import ConfigError


def test_the_defaults_are_sound():
    CorpusConfig(), CleanConfig(), DedupConfig(), DecontaminateConfig(), PrivacyConfig()
    assert DedupConfig().bands * DedupConfig().rows == 128


@pytest.mark.parametrize(
    ("kind", "settings", "field"),
    [
        (CorpusConfig, {"output": ""}, "corpus.output"),
        (CorpusConfig, {"text_fields": ()}, "corpus.text_fields"),
        (CleanConfig, {"profile": "gopher"}, "clean.profile"),
        (CleanConfig, {"language_score": 1.5}, "clean.language_score"),
        (DedupConfig, {"threshold": 0.0}, "dedup.threshold"),
        (DedupConfig, {"threshold": 1.01}, "dedup.threshold"),
        (DedupConfig, {"bands": 0}, "dedup.bands"),
        (DedupConfig, {"max_bucket": 1}, "dedup.max_bucket"),
        (DecontaminateConfig, {"containment": 0.0}, "decontaminate.containment"),
        (DecontaminateConfig, {"words": 0}, "decontaminate.words"),
        (PrivacyConfig, {"detectors": ("email", "name")}, "privacy.detectors"),
    ],
)
def test_a_setting_out_of_range_is_named(kind, settings, field):
    with pytest.raises(ConfigError, match=field):
        kind(**settings)
