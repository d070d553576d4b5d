"""A taxonomy of worked problems, and how much of it a set of problems covers.

A pattern is a form (forward, inverse, claim), a kind of arithmetic (additive, multiplicative, mixed, none) and a number
of steps (1, 2, 3, 4+): 48 cells, read off the text and the equations of the solution. Topics are counted beside them.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from itertools import product
from typing import Any

from r1ray.reasoning.arithmetic import find_statements

FORMS = ("forward", "inverse", "claim")
KINDS = ("additive", "multiplicative", "mixed", "none")
STEPS = ("1", "2", "3", "4+")
CELLS = tuple("/".join(cell) for cell in product(FORMS, KINDS, STEPS))

_TOPICS = {
    "money": r"[$€£]|\b(?:dollars?|cents?|costs?|prices?|pays?|earns?|sells?|buys?|profit|salary)\b",
    "time": r"\b(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|old)\b",
    "distance": r"\b(?:miles?|kilomet(?:er|re)s?|km|met(?:er|re)s?|feet|foot|inch(?:es)?|speed)\b",
    "weight": r"\b(?:pounds?|ounces?|kilograms?|kg|grams?|tons?|lit(?:er|re)s?|gallons?)\b",
    "share": r"%|\b(?:percent|half|third|quarter|ratio|fraction|average)\b",
}
_INVERSE = re.compile(r"\bwhat is x\b|\bunknown\b", re.IGNORECASE)
_CLAIM = re.compile(r"\bclaim\b|\btrue or false\b|\bcounterexample\b", re.IGNORECASE)
_TIMES = re.compile(r"(?<=[0-9)])\s*[x×]\s*(?=[0-9($.])")
_EQUATION = re.compile(r"[0-9)][^=\n]*[-+*/÷][^=\n]*=")


def pattern_of(question: str, solution: str) -> str:
    """`forward/mixed/2`: the cell of one problem."""
    lines = _TIMES.sub(" * ", solution.replace("<<", "\n").replace(">>", "\n"))
    steps = sum(statement.operations for statement in find_statements(lines))
    symbols = {symbol for found in _EQUATION.findall(lines) for symbol in re.findall(r"[-+*/÷]", found)}
    additive, multiplicative = bool(symbols & set("-+")), bool(symbols & set("*/÷"))
    kind = "mixed" if additive and multiplicative else "additive" if additive else "multiplicative"
    return f"{form_of(question)}/{kind if symbols else 'none'}/{'4+' if steps >= 4 else max(1, steps)}"


def form_of(question: str) -> str:
    """What is asked: a result, a given, or whether a claim holds."""
    return "claim" if _CLAIM.search(question) else "inverse" if _INVERSE.search(question) else "forward"


def as_form_of(question: str, pattern: str) -> str:
    """The cell of a problem made from one of this pattern by executing its program: the arithmetic is the same."""
    return f"{form_of(question)}/{pattern.partition('/')[2]}"


def topics_of(question: str) -> list[str]:
    """What a problem is about: any number of topics, `other` where none is recognised."""
    return [topic for topic, words in _TOPICS.items() if re.search(words, question, re.IGNORECASE)] or ["other"]


def coverage(problems: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Figures for the report, of (question, pattern) pairs.

    `covered` is the share of the cells with at least one problem; `evenness` the entropy of the cells over its largest
    possible value, 1 where all cells are equally full; `empty` the cells without any.
    """
    pairs = list(problems)
    cells = Counter(pattern for _, pattern in pairs)
    topics = Counter(topic for question, _ in pairs for topic in topics_of(question))
    shares = [count / len(pairs) for count in cells.values()]
    return {
        "problems": len(pairs),
        "covered": len(cells) / len(CELLS),
        "evenness": 0.0 - math.fsum(share * math.log(share) for share in shares) / math.log(len(CELLS)),
        "cells": {cell: cells[cell] for cell in CELLS if cell in cells},
        "topics": dict(topics.most_common()),
        "empty": [cell for cell in CELLS if cell not in cells],
    }
