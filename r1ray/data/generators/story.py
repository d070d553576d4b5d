"""`story`: "Mia has 9 eggs. Mia gets 7 more. Mia loses 5 eggs. How many eggs does Mia have now?" """

from random import Random

from r1ray.data.generators.spec import Wording
from r1ray.data.generators.words import NAMES, OBJECTS, Words
from r1ray.data.generators.worked import WorkedProblem, Working, draw_change, draw_number

START = Words(
    plain=("{name} has {n} {things}.",),
    varied=("{name} starts with {n} {things}.", "{name} owns {n} {things}.", "There are {n} {things} in {name}'s bag."),
)
GAIN = Words(
    plain=("{name} gets {n} more.", "{name} buys {n} {things}."),
    varied=(
        "{name} finds {n} {things}.",
        "A friend gives {name} {n} {things}.",
        "{name} picks up {n} more.",
        "Then {name} wins {n} {things}.",
        "{name} is sent another {n}.",
    ),
)
LOSS = Words(
    plain=("{name} loses {n} {things}.", "{name} gives away {n} {things}."),
    varied=(
        "{name} sells {n} {things}.",
        "{name} hands {n} to a friend.",
        "{n} of the {things} break.",
        "Then {name} drops {n} of them.",
        "{n} {things} are stolen.",
    ),
)
ASK = Words(
    plain=("How many {things} does {name} have now?",),
    varied=(
        "How many {things} are left?",
        "How many {things} does {name} have in the end?",
        "What is the number of {things} at the end?",
    ),
)


def story(rng: Random, level: int, max_number: int, wording: Wording) -> WorkedProblem:
    """`level` gains or losses; there is always something left."""
    name, things = NAMES.pick(rng, wording), OBJECTS.pick(rng, wording)
    working = Working()
    total = draw_number(rng, max_number)
    sentences = [START.pick(rng, wording).format(name=name, n=total, things=things)]
    for _ in range(level):
        symbol, number = draw_change(rng, total, max_number, least=1)
        words = GAIN if symbol == "+" else LOSS
        sentences.append(words.pick(rng, wording).format(name=name, n=number, things=things))
        total = working.do(total, symbol, number)
    sentences.append(ASK.pick(rng, wording).format(name=name, things=things))
    return WorkedProblem(" ".join(sentences), working.steps, total)
