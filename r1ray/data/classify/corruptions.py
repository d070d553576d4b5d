"""What happens to text on its way through crawlers and converters, made on purpose: the noise that a classifier learns.

Each takes a clean text and a random generator; what comes out can no longer be read, or never was worth reading.
"""

import base64
import re
from collections.abc import Callable
from random import Random

Corruption = Callable[[str, Random], str]

_WORD = re.compile(r"[A-Za-z]{2,}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_OCR = {"l": "1", "o": "0", "m": "rn", "e": "c", "i": "l", "s": "5", "a": "@", "t": "f", "h": "b", "n": "ri", "B": "8"}
_MENU = tuple(
    """Home About Contact Login Register Cart Search Menu Share Tweet Pin Subscribe Next Previous Archives Categories
    Tags Comments Reply Follow Copyright Sitemap Help FAQ Terms Privacy Cookies Jobs Press Blog Shop Account Wishlist
    More""".split()  # noqa: SIM905 - a list of thirty lines would say no more
)
_TAGS = ["div", "span", "li", "ul", "a", "td", "tr", "p", "script", "style", "section", "button", "nav"]
_ATTRIBUTES = ["class", "id", "href", "style", "onclick", "data-id", "role", "src", "rel", "target"]
_PROPERTIES = [
    "margin:0",
    "padding:4px",
    "display:none",
    "color:#fff",
    "float:left",
    "width:100%",
    "z-index:99",
    "border:0",
]
_CALLS = (
    "var {0}=function(){{return {1}}};",
    "if(typeof {0}!=='undefined'){{{0}.push({1})}}",
    "window.{0}=window.{0}||[];",
    "!function(e,t){{e.{0}=t.{1}}}(this,{0});",
)


def random_letters(text: str, draw: Random) -> str:
    """A third to all of the letters replaced by others."""
    share = draw.uniform(0.3, 1.0)
    return "".join(draw.choice(_LETTERS) if char.isalpha() and draw.random() < share else char for char in text)


def scrambled_words(text: str, draw: Random) -> str:
    """The letters within most words in another order."""

    def scramble(match: re.Match[str]) -> str:
        return "".join(draw.sample(match[0], len(match[0]))) if draw.random() < 0.8 else match[0]

    return _WORD.sub(scramble, text)


def mojibake(text: str, draw: Random) -> str:
    """UTF-8 taken for Latin-1, once or twice, in a text full of accents."""
    accents = dict(zip("aeiouncsyz", "áéíóúñçšýž", strict=True))
    share = draw.uniform(0.3, 0.9)
    found = "".join(accents.get(char, char) if draw.random() < share else char for char in text)
    for _ in range(draw.choice((1, 2))):
        found = found.encode("utf-8").decode("latin-1")
    return found


def replaced_characters(text: str, draw: Random) -> str:
    """A fifth to two thirds of the characters lost, each with a mark in its place."""
    share = draw.uniform(0.2, 0.67)
    mark = draw.choice("\ufffd?□")
    return "".join(mark if not char.isspace() and draw.random() < share else char for char in text)


def misread(text: str, draw: Random) -> str:
    """As a poor scan is read: look-alikes, and blanks within words."""
    share = draw.uniform(0.35, 0.8)
    parts = [(_OCR.get(char, char) if draw.random() < share else char) + " " * (draw.random() < 0.15) for char in text]
    return "".join(parts)


def lost_blanks(text: str, draw: Random) -> str:
    """Without blanks, or with one between most letters."""
    if draw.random() < 0.5:
        return re.sub(r"\s+", lambda match: match[0] if draw.random() < 0.1 else "", text)
    return " ".join(text.replace(" ", ""))


def keyboard_mash(text: str, draw: Random) -> str:
    """Words that nobody knows, as many as there were."""
    rows = draw.choice(("asdfghjkl", "qwertyuiop", "zxcvbnm", "asdfjklqwe", _LETTERS))
    return " ".join("".join(draw.choices(rows, k=draw.randint(2, 14))) for _ in text.split())


def markup(text: str, draw: Random) -> str:
    """Tags, styles and scripts of a page, with few of its words between."""
    words = text.split()
    parts: list[str] = []
    for start in range(0, max(1, len(words)), 4):
        name = "".join(draw.choices(_LETTERS, k=draw.randint(2, 8)))
        tag, attribute = draw.choice(_TAGS), draw.choice(_ATTRIBUTES)
        kind = draw.random()
        if kind < 0.5:
            kept = " ".join(words[start : start + draw.randint(0, 2)])
            parts.append(f'<{tag} {attribute}="{name}-{draw.randint(0, 99)}">{kept}</{tag}>')
        elif kind < 0.75:
            parts.append(f".{name}{{{';'.join(draw.sample(_PROPERTIES, 3))}}}")
        else:
            parts.append(draw.choice(_CALLS).format(name, draw.randint(0, 999)))
    indent = "\n" + " " * draw.choice((2, 4, 8, 12))
    return draw.choice(("", "\n", indent, "\n" + indent)).join(parts)


def menu(text: str, draw: Random) -> str:
    """Links and buttons, headings and dates, one after the other."""
    words = [word for word in text.split() if word.isalpha()] or ["Page"]
    separator = draw.choice((" | ", "\n", " » ", " - ", " "))
    parts = []
    for _ in range(max(6, len(text.split()) // 2)):
        if draw.random() < 0.65:
            parts.append(" ".join(draw.sample(_MENU, draw.choice((1, 1, 2)))))
        elif draw.random() < 0.7:
            parts.append(" ".join(draw.choices(words, k=draw.choice((1, 2)))).title())
        else:
            parts.append(f"({draw.randint(1, 300)})")
    return separator.join(parts)


def keywords(text: str, draw: Random) -> str:
    """A few words over and over, as pages once wrote for search engines."""
    words = [word.lower() for word in text.split() if word.isalpha() and len(word) > 3] or ["cheap", "online"]
    few = draw.choices(words, k=draw.randint(3, 6)) + draw.sample(
        ["cheap", "best", "buy", "online", "free", "price"], 2
    )
    phrases = [
        " ".join(draw.sample(few, min(len(few), draw.randint(2, 3)))) for _ in range(max(8, len(text.split()) // 3))
    ]
    return draw.choice((", ", " ", "; ")).join(phrases)


def repetition(text: str, draw: Random) -> str:
    """One phrase until the text is as long as it was."""
    words = text.split() or ["a"]
    start = draw.randrange(len(words))
    phrase = words[start : start + draw.randint(1, 6)]
    return " ".join((phrase * (len(words) // len(phrase) + 2))[: max(12, len(words))])


def dump(text: str, draw: Random) -> str:
    """Base64, hexadecimal or binary content taken for text."""
    content = bytes(draw.randrange(256) for _ in range(max(24, len(text) // 2)))
    kind = draw.randrange(3)
    if kind == 0:
        return base64.b64encode(content).decode()
    if kind == 1:
        return " ".join(f"{byte:02x}" for byte in content)
    return content.decode("latin-1")


def log_lines(text: str, draw: Random) -> str:
    """A server's log."""
    lines = []
    for _ in range(max(2, len(text.split()) // 10)):
        address = ".".join(str(draw.randrange(256)) for _ in range(4))
        path = "/".join("".join(draw.choices(_LETTERS, k=draw.randint(2, 8))) for _ in range(3))
        day = f"20{draw.randint(10, 25)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
        moment = f"{day}T{draw.randint(0, 23):02}:{draw.randint(0, 59):02}:{draw.randint(0, 59):02}"
        status = f"{draw.choice((200, 301, 404, 500))} {draw.randrange(9999)}"
        lines.append(f"{address} [{moment}] GET /{path}?id={draw.getrandbits(48):x} {status}")
    return "\n".join(lines)


CORRUPTIONS: dict[str, Corruption] = {
    function.__name__: function
    for function in (
        random_letters, scrambled_words, mojibake, replaced_characters, misread, lost_blanks, keyboard_mash,
        markup, menu, keywords, repetition, dump, log_lines,
    )
}  # fmt: skip
