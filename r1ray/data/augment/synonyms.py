"""`synonyms`: words by others of their first sense in WordNet; numbers, names and the words of arithmetic stay."""

import re
from random import Random

from r1ray.data.augment.variant import Edit, Inapplicable, Operator, Row, each
from r1ray.data.augment.wordnet import WordNet
from r1ray.data.augment.words import edit_text, find_words

RATE = 0.2
"""Share of the words that may be replaced for which it is done; at least one."""


def synonyms(wordnet: WordNet) -> Operator:
    """An operator that replaces words wherever they stand in the text, so that a thing keeps one name."""

    def make(row: Row, stream: Random) -> Edit:
        def change(text: str) -> str:
            candidates = sorted({word.text for word in find_words(text) if word.free and word.text.islower()})
            known = {word: others for word in candidates if (others := wordnet.synonyms(word))}
            if not known:
                raise Inapplicable("no word has a synonym")
            for word in stream.sample(sorted(known), max(1, round(RATE * len(known)))):
                other = stream.choice(known[word])
                text = re.sub(rf"\b{re.escape(word)}\b", other, text)
                text = re.sub(rf"\b([Aa])n?(?= {re.escape(other)}\b)", rf"\1{'n' if other[0] in 'aeio' else ''}", text)
            return text

        return edit_text(row, change)

    return each(make)
