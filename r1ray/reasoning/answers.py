r"""The final answer of a completion: found, brought to a plain form, and compared where that can be done exactly.

Four forms are read: `Answer: X`, `\boxed{X}`, `#### X` and `<answer>X</answer>`. **The last one in the text wins**, so
a completion that lists candidates is judged by the one it ends with, and loses the format reward for the others. What
is inside a `<think>` block is thought, not answer.
"""

import re
from fractions import Fraction

_FORMS = (
    re.compile(r"\banswer(?:\*\*)?[ \t]*:(?:\*\*)?[ \t]*(\S.*?)(?=</answer>|\n|$)", re.IGNORECASE),
    re.compile(r"####[ \t]*(\S[^\n]*)"),
    re.compile(r"<answer>\s*(\S.*?)\s*</answer>", re.IGNORECASE | re.DOTALL),
)
_BOX = re.compile(r"\\boxed\s*\{")
_LONGEST_ANSWER = 1000

_LATEX = {
    r"\dfrac": r"\frac",
    r"\tfrac": r"\frac",
    r"\left": "",
    r"\right": "",
    r"\$": "",
    r"\%": "%",
    r"\!": "",
    r"\,": " ",
    r"\ ": " ",
}
_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s*\{([^{}]*)\}")
_THOUSANDS = re.compile(r"(?<![0-9.,])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])")
_DECIMAL = r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
_NUMBER = re.compile(
    rf"(?P<sign>[-+]?)\s*(?:(?P<whole>[0-9]+)\s+(?P<part>[0-9]+)/(?P<of>[0-9]+)"
    rf"|\\frac\s*\{{\s*(?P<top>-?{_DECIMAL})\s*\}}\s*\{{\s*(?P<bottom>{_DECIMAL})\s*\}}"
    rf"|(?P<over>{_DECIMAL})(?:\s*/\s*(?P<under>{_DECIMAL}))?)"
    r"(?P<unit>\s*(?:%|[A-Za-z]{2,}(?:[ /][A-Za-z]+){0,3}(?:\^?\{?[23]\}?|[²³])?))?"
)
_NO_UNIT = re.compile(
    r"\b(?:pi|sqrt|ln|log|exp|sin|cos|tan|mod|or|and|to|over|plus|minus|times|percent|dozen|half|hundred|thousand|million|billion)\b",
    re.IGNORECASE,
)
_QUOTIENT = re.compile(r"[0-9]\s*/\s*[0-9.]|\\frac")
_CALCULATION = re.compile(r"[0-9)}]\s*(?:[-+*/×·÷]|\\times|\\cdot|\\div)\s*(?!10\s*\^)[0-9({\\.]")
_PROSE = re.compile(r"[A-Za-z]{3,}(?:[ '’-][A-Za-z]+)*")
_LONGEST_NUMBER = 100
_ROUNDING = Fraction(1, 100_000)
"""Coarser than the six decimals to which math-verify rounds: numbers further apart need not be shown to it."""


def extract_answer(text: str) -> str | None:
    r"""The final answer as written, or `None`. The mark that begins last decides: `Answer: \boxed{16}` is `16`."""
    text = _after_thought(text)
    found = [(match.start(), match[1].strip()) for form in _FORMS for match in form.finditer(text)]
    found += [(match.start(), box) for match in _BOX.finditer(text) if (box := _braced(text, match.end()))]
    return max(found)[1] if found else None


def normalise(text: str) -> str:
    r"""An answer without what does not change it: `$1{,}200.` becomes `1200`, `16\text{ eggs}` becomes `16 eggs`."""
    text = text.replace("\u2212", "-").replace("{,}", ",").replace("**", "")
    for latex, plain in _LATEX.items():
        text = text.replace(latex, plain)
    text = _TEXT.sub(r" \1 ", text)
    text = re.sub(r"\\[()\[\]]|[$€£]", "", text)
    text = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)
    return " ".join(text.split()).rstrip(" .,;")


def parse_number(text: str) -> Fraction | None:
    r"""The exact value of a plain number, with or without a unit: `16`, `-3.5`, `3/4`, `\frac{3}{4}`, `1 1/2`.

    A percentage is the number in front of its sign. `None` for anything else.
    """
    found = _NUMBER.fullmatch(normalise(text)) if len(text) <= _LONGEST_NUMBER else None
    if found is None or _NO_UNIT.search(found["unit"] or ""):
        return None
    try:
        if found["whole"]:
            value = int(found["whole"]) + Fraction(int(found["part"]), int(found["of"]))
        elif found["top"]:
            value = Fraction(found["top"]) / Fraction(found["bottom"])
        else:
            value = Fraction(found["over"]) / Fraction(found["under"] or 1)
    except ZeroDivisionError:
        return None
    return -value if found["sign"] == "-" else value


def settle(reference: str, answer: str) -> bool | None:
    """Compare exactly where that needs no computer algebra; `None` where it does.

    Where the reference is a plain number, an answer that is still a calculation (`9 + 7` for 16, `48/6` for 8) is
    wrong: working it out is what was asked, and a policy soon finds that leaving it is easier.
    """
    wanted, given = parse_number(reference), parse_number(answer)
    if not answer.strip():
        return False
    if normalise(reference).casefold() == normalise(answer).casefold():
        return True
    if wanted is None:
        # Words are compared as words: computer algebra multiplies letters, and an anagram is the same product.
        return False if _PROSE.fullmatch(normalise(reference)) and not _NO_UNIT.search(reference) else None
    if given is None:
        return False if _CALCULATION.search(normalise(answer)) else None
    if given == wanted:
        left_to_do = (
            given.denominator == 1
            and _QUOTIENT.search(normalise(answer))
            and not _QUOTIENT.search(normalise(reference))
        )
        return not left_to_do
    if "%" in reference or "%" in answer:
        return None  # 50% may stand for 0.5
    both_whole = wanted.denominator == given.denominator == 1
    return False if both_whole or abs(wanted - given) > _ROUNDING else None


def _after_thought(text: str) -> str:
    """What follows the last `</think>`; nothing, where a thought was opened and never closed."""
    _, closed, rest = text.rpartition("</think>")
    if closed:
        return rest
    return "" if "<think>" in text else text


def _braced(text: str, start: int) -> str:
    """From just after an opening brace to the brace that closes it; empty if none does."""
    depth = 1
    for offset in range(start, min(len(text), start + _LONGEST_ANSWER)):
        depth += {"{": 1, "}": -1}.get(text[offset], 0)
        if depth == 0:
            return text[start:offset].strip()
    return ""
