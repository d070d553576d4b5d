"""Format repairs that never change what a text says: encodings, entities, line ends, control characters, gaps.

ftfy does the decoding where it is installed; without it the commonest damage is mended here: UTF-8 that was read as
Windows-1252, and HTML entities.
"""

import functools
import html
import importlib
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\ufeff\u200b\u2060\ufff9-\ufffb]")
_LINE_END = re.compile(r"\r\n?|\u2028|\u2029")
_GAPS = re.compile(r"\n{3,}")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[A-Za-z]{2,8});")
# A lead byte of UTF-8 as Windows-1252 shows it, and a continuation byte: Ã©, â€™, Â£.
_LEAD = "[\u00c2-\u00f4]"
_TAIL = "[\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
_MOJIBAKE = re.compile(f"(?:{_LEAD}{_TAIL}{{1,3}})+")
_MISSING = frozenset({"", "null", "none", "nan", "n/a", "na", "nil", "#n/a", "undefined", "<na>"})


def repair(text: str) -> str:
    """The text decoded rightly, in NFC, with plain line ends and without control characters.

    Superscripts, fractions, quotes and full-width forms stay: they carry meaning in mathematics.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", _decoder()(text))
    elif "&" in text:
        text = _decoder()(text)
    text = _CONTROL.sub("", _LINE_END.sub("\n", text))
    text = "\n".join(map(str.rstrip, text.split("\n")))
    return _GAPS.sub("\n\n", text).strip()


def is_missing(value: Any) -> bool:
    """Whether a field's value says that there is none: null, NaN, empty, or a word for it."""
    if value is None:
        return True
    if isinstance(value, float):
        return math.isnan(value)
    return isinstance(value, str) and value.strip().casefold() in _MISSING


def repair_row(row: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """The row with these fields repaired; a missing value becomes `None`, what is no text stays as it is."""
    repaired = dict(row)
    for name in fields:
        value = repaired.get(name)
        if isinstance(value, str):
            value = repair(value)
        if name in repaired:
            repaired[name] = None if is_missing(value) else value
    return repaired


def decoder_name() -> str:
    """`ftfy <version>` or `built-in`: which one decodes, for the manifest, since results may differ."""
    module = _ftfy()
    return "built-in" if module is None else f"ftfy {getattr(module, '__version__', '')}".strip()


def decode(text: str) -> str:
    """The built-in decoder: undoes up to two readings of UTF-8 as Windows-1252, then HTML entities."""
    for _ in range(2):
        if not _MOJIBAKE.search(text):
            break
        text = _MOJIBAKE.sub(_decode_run, text)
    # In HTML an entity is what was meant; in text that has tags it may be the subject.
    return text if "<" in text else _ENTITY.sub(lambda found: html.unescape(found[0]), text)


def _decode_run(found: re.Match[str]) -> str:
    try:
        return found[0].encode("cp1252").decode("utf-8")
    except UnicodeError:
        return found[0]


@functools.cache
def _decoder() -> Callable[[str], str]:
    module = _ftfy()
    if module is None:
        return decode
    config = module.TextFixerConfig(
        uncurl_quotes=False, fix_character_width=False, fix_latin_ligatures=False, normalization=None
    )
    return functools.partial(module.fix_text, config=config)


@functools.cache
def _ftfy() -> Any:
    try:
        return importlib.import_module("ftfy")
    except ImportError:
        return None
