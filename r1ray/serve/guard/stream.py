"""An answer under guard while it is written: nothing forbidden is sent, and only what may become forbidden is held."""

import dataclasses
from collections.abc import Sequence

from r1ray.data.privacy.masking import Masker
from r1ray.serve.guard.personal import PersonalData
from r1ray.serve.guard.verdict import Checked, Forbids, Rule

_CONTEXT = 160
"""Characters already sent that rules may look back at: a word before a number says what it is."""
_PATIENCE = 1024
"""Characters held at most: an expression such as `a.*b` must not hold an answer back for good."""
_WINDOW = 3
"""Strides of text that the classifier looks at."""


class OutputStream:
    """One answer.

    Args:
        rules: what blocks.
        mask: personal data that is replaced; `None` = none is.
        forbids: the classifier; `None` = there is none.
        stride: characters after which it is asked again.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        mask: PersonalData | None = None,
        forbids: Forbids | None = None,
        stride: int = 200,
    ) -> None:
        self._rules, self._mask, self._forbids, self._stride = rules, mask, forbids, stride
        self._masker = Masker([])
        self._text = ""
        self._sent = 0
        """Of `_text`; before it lies context alone."""
        self._passage, self._unjudged = "", 0
        self._blocked = ""

    async def feed(self, text: str) -> Checked:
        """The next piece; what may be sent now."""
        return await self._advance(text, final=False)

    async def finish(self) -> Checked:
        """The answer is over; the rest of it."""
        return await self._advance("", final=True)

    async def _advance(self, new: str, final: bool) -> Checked:
        if self._blocked:
            return Checked("", True, self._blocked)
        self._text += new
        hold = len(self._text)
        for rule in self._rules:
            scan = rule.scan(self._text, self._sent, final)
            if scan.hit is not None:
                return self._block(scan.hit, rule.name)
            hold = min(hold, scan.hold)
        if self._mask is not None and not final:
            hold = min(hold, self._mask.hold(self._text, self._sent))
        if self._forbids is not None and await self._forbidden(new, final):
            return self._block(self._sent, "classifier")
        return Checked(self._release(max(hold, len(self._text) - _PATIENCE, self._sent)))

    def _block(self, place: int, rule: str) -> Checked:
        self._blocked = rule
        return Checked(self._release(max(place, self._sent)), True, rule)

    def _release(self, end: int) -> str:
        """Text up to `end`, masked; a place that reaches over `end` is not cut in two."""
        spans = []
        if self._mask is not None:
            spans = [span for span in self._mask.spans(self._text) if span.start >= self._sent and span.end <= end]
        moved = [dataclasses.replace(span, start=span.start - self._sent, end=span.end - self._sent) for span in spans]
        sent = self._masker.replace(self._text[self._sent : end], moved)
        keep = max(0, end - _CONTEXT)
        self._text, self._sent = self._text[keep:], end - keep
        return sent

    async def _forbidden(self, new: str, final: bool) -> bool:
        """The classifier sees windows that end at every stride of the answer, however it was cut into pieces."""
        self._passage += new
        self._unjudged += len(new)
        ends = []
        while self._unjudged >= self._stride:
            self._unjudged -= self._stride
            ends.append(len(self._passage) - self._unjudged)
        if final and self._unjudged:
            ends.append(len(self._passage))
            self._unjudged = 0
        width = _WINDOW * self._stride
        assert self._forbids is not None
        forbidden = any([await self._forbids(self._passage[max(0, end - width) : end]) for end in ends])
        self._passage = self._passage[-(width + self._unjudged) :]
        return forbidden
