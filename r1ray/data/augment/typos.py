"""`typos`: slips of the hand, as adversarial input: neighbouring keys, letters doubled, left out or changed over."""

from random import Random

from r1ray.data.augment.variant import Edit, Inapplicable, Row
from r1ray.data.augment.words import Word, edit_text, find_words

RATE = 0.1
"""Share of the words with a slip; at least one."""
SHORTEST = 4
"""Letters of the shortest word with one; its first and last letter stay, so that it can be read."""
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    key: row[max(0, index - 1) : index] + row[index + 1 : index + 2] for row in _ROWS for index, key in enumerate(row)
}


def typos(row: Row, stream: Random) -> Edit:
    """Words with one slip each."""

    def change(text: str) -> str:
        words = [word for word in find_words(text) if word.free and len(word.text) >= SHORTEST and word.text.isascii()]
        if not words:
            raise Inapplicable("no word may be touched")
        chosen = stream.sample(words, min(len(words), max(1, round(RATE * len(text.split())))))
        for word in sorted(chosen, key=lambda word: -word.start):
            text = text[: word.start] + _slip(word, stream) + text[word.end :]
        return text

    return edit_text(row, change)


def _slip(word: Word, stream: Random) -> str:
    letters = word.text
    at = stream.randrange(1, len(letters) - 2)
    kind = stream.choice(("neighbour", "double", "miss", "change over"))
    if kind == "change over" and letters[at] != letters[at + 1]:
        return letters[:at] + letters[at + 1] + letters[at] + letters[at + 2 :]
    if kind == "double":
        return letters[:at] + letters[at] + letters[at:]
    if kind == "miss":
        return letters[:at] + letters[at + 1 :]
    neighbours = _NEIGHBOURS.get(letters[at].lower(), "e")
    return letters[:at] + stream.choice(neighbours) + letters[at + 1 :]
