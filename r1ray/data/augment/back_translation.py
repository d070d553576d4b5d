"""`back_translation`: into another language and back. A variant that lost or gained a number is rejected."""

from collections.abc import Sequence
from random import Random

from r1ray.data.augment.translate import Translator
from r1ray.data.augment.variant import Edit, Inapplicable, Operator, Row
from r1ray.data.augment.words import judged, text_of


def back_translation(translator: Translator) -> Operator:
    """An operator that translates whole batches. It draws nothing: a translator gives one text for one text."""

    def operator(rows: Sequence[Row], streams: Sequence[Random]) -> list[Edit]:
        edits: list[Edit] = []
        texts: list[tuple[int, str, str]] = []
        for index, row in enumerate(rows):
            try:
                texts.append((index, *text_of(row)))
                edits.append(Edit(fields={}))
            except Inapplicable as error:
                edits.append(Edit(fields={}, check="rejected", reason=str(error)))
        found = translator.back(translator.there([text for _, _, text in texts]))
        for (index, name, before), after in zip(texts, found, strict=True):
            edits[index] = (
                Edit(fields={}, check="rejected", reason="nothing to change")
                if after == " ".join(before.split())
                else judged(name, before, after)
            )
        return edits

    return operator
