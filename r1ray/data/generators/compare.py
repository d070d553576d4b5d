"""`compare`: people who have more or fewer than one another. "Mia has 9 eggs. Tom has 4 more than Mia. ..." """

from random import Random

from r1ray.data.generators.spec import Wording
from r1ray.data.generators.words import NAMES, OBJECTS, Words
from r1ray.data.generators.worked import WorkedProblem, Working, draw_change, draw_number

START = Words(plain=("{name} has {n} {things}.",), varied=("{name} owns {n} {things}.", "{name} keeps {n} {things}."))
MORE = Words(
    plain=("{other} has {n} more than {name}.",),
    varied=("{other} owns {n} {things} more than {name}.", "Compared with {name}, {other} has {n} extra {things}."),
)
FEWER = Words(
    plain=("{other} has {n} fewer than {name}.",),
    varied=("{other} owns {n} {things} less than {name}.", "Compared with {name}, {other} lacks {n} {things}."),
)
ASK_ONE = Words(plain=("How many {things} does {name} have?",), varied=("What number of {things} is {name}'s?",))
ASK_BOTH = Words(
    plain=("How many {things} do {name} and {other} have together?",),
    varied=("What is the total of the {things} of {name} and {other}?",),
)


def compare(rng: Random, level: int, max_number: int, wording: Wording) -> WorkedProblem:
    """A row of comparisons; from two steps on, half of the problems end in the sum with one more person."""
    together = level >= 2 and rng.random() < 0.5
    things = OBJECTS.pick(rng, wording)
    name, *others = NAMES.sample(rng, wording, level + 1)
    working = Working()
    total = draw_number(rng, max_number)
    sentences = [START.pick(rng, wording).format(name=name, n=total, things=things)]
    for other in others[: level - together]:
        symbol, number = draw_change(rng, total, max_number, least=1)
        words = MORE if symbol == "+" else FEWER
        sentences.append(words.pick(rng, wording).format(name=name, other=other, n=number, things=things))
        total = working.do(total, symbol, number)
        name = other
    if together:
        other, number = others[-1], draw_number(rng, max_number)
        sentences.append(START.pick(rng, wording).format(name=other, n=number, things=things))
        total = working.do(total, "+", number)
        sentences.append(ASK_BOTH.pick(rng, wording).format(name=name, other=other, things=things))
    else:
        sentences.append(ASK_ONE.pick(rng, wording).format(name=name, things=things))
    return WorkedProblem(" ".join(sentences), working.steps, total)
