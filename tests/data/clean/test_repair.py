import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.data.clean import repair as module
from r1ray.data.clean.repair import decode, decoder_name, is_missing, repair, repair_row


@pytest.fixture
def built_in(monkeypatch):
    """Without ftfy, whether it is installed or not."""
    monkeypatch.setitem(sys.modules, "ftfy", None)
    for cached in (module._ftfy, module._decoder):
        cached.cache_clear()
    yield
    for cached in (module._ftfy, module._decoder):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("cafÃ©", "café"),
        ("itâ€™s 5 Â°C", "it’s 5 °C"),
        ("3 Ã— 4", "3 × 4"),
        ("cafÃƒÂ©", "café"),
        ("café", "café"),
        ("x² + ½", "x² + ½"),
        ("a &lt; b &amp; c", "a < b & c"),
        ("<p>a &lt; b</p>", "<p>a &lt; b</p>"),
        ("R&D AT&T", "R&D AT&T"),
    ],
)
def test_wrong_decodings_are_undone_and_right_ones_stay(broken, whole):
    assert decode(broken) == whole


@pytest.mark.usefixtures("built_in")
@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a\x00b\x07\ufeff", "ab"),
        ("a   \n\n\n\n b\t", "a\n\n b"),
        ("e\u0301", "é"),
        ("x²", "x²"),
        ("tab\tstays", "tab\tstays"),
    ],
)
def test_line_ends_control_characters_and_gaps_are_mended(broken, whole):
    assert repair(broken) == whole


@pytest.mark.usefixtures("built_in")
@given(st.text("aé \n\r\t\x00\ufeff²3<", max_size=40))
def test_a_mended_text_is_not_mended_again(text):
    assert repair(repair(text)) == repair(text)


@given(st.text("abcxyz0123456789 +-*/^=()\n."))
def test_plain_text_loses_nothing_but_white_space(text):
    assert repair(text).split() == text.split()


@pytest.mark.usefixtures("built_in")
def test_without_ftfy_the_built_in_decoder_is_named():
    assert decoder_name() == "built-in"


def test_ftfy_decodes_where_it_is_installed_and_keeps_quotes_and_widths(monkeypatch):
    asked = {}
    fake = types.SimpleNamespace(
        __version__="6.3",
        TextFixerConfig=lambda **options: options,
        fix_text=lambda t, config: asked.update(config) or t,
    )
    monkeypatch.setattr(module, "_ftfy", lambda: fake)
    module._decoder.cache_clear()
    try:
        assert repair("“é”") == "“é”"
        assert decoder_name() == "ftfy 6.3"
        assert asked["uncurl_quotes"] is False
        assert asked["fix_character_width"] is False
        assert asked["normalization"] is None  # NFC is ours; NFKC would turn 2² into 22
    finally:
        module._decoder.cache_clear()


@pytest.mark.parametrize("value", [None, float("nan"), "", "  ", "NULL", "n/a", "NaN", "None"])
def test_words_for_nothing_are_missing(value):
    assert is_missing(value)


@pytest.mark.parametrize("value", [0, 0.0, False, "0", "no", "nana", []])
def test_zero_and_no_are_values(value):
    assert not is_missing(value)


def test_a_row_keeps_its_other_fields_and_gains_none():
    row = {"text": "a\r\nb", "answer": "N/A", "level": 3, "note": "x\r"}
    assert repair_row(row, ("text", "answer", "level", "absent")) == {
        "text": "a\nb",
        "answer": None,
        "level": 3,
        "note": "x\r",
    }
