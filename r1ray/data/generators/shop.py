"""`shop`: a bill of quantities and prices. "Mia buys 3 pens at 4 dollars each and a bag for 5 dollars. ..." """

from random import Random

from r1ray.data.generators.spec import Wording
from r1ray.data.generators.words import NAMES, OBJECTS, Words
from r1ray.data.generators.worked import WorkedProblem, Working, draw_change, draw_number

FIRST = Words(
    plain=("{name} buys {n} {things} at {price} dollars each.",),
    varied=(
        "{name} orders {n} {things} that cost {price} dollars each.",
        "{name} takes {n} {things} for {price} dollars apiece.",
    ),
)
MORE = Words(
    plain=("{name} also buys {n} {things} at {price} dollars each.",),
    varied=(
        "{name} adds {n} {things} that cost {price} dollars each.",
        "Then come {n} {things} for {price} dollars apiece.",
    ),
)
EXTRA = Words(
    plain=("A bag costs {n} dollars.",),
    varied=("Delivery is {n} dollars more.", "Wrapping adds {n} dollars.", "{name} also pays {n} dollars for tea."),
)
DISCOUNT = Words(
    plain=("A coupon takes off {n} dollars.",),
    varied=("The shop takes {n} dollars off.", "{name} gets {n} dollars back."),
)
ASK = Words(
    plain=("How many dollars does {name} pay?",),
    varied=("What does {name} pay in total?", "How much is the bill in dollars?"),
)


def shop(rng: Random, level: int, max_number: int, wording: Wording) -> WorkedProblem:
    """A first product; then further products (two steps) or single amounts (one step) until there are `level` steps."""
    name = NAMES.pick(rng, wording)
    working = Working()

    def buy(words: Words) -> tuple[str, int]:
        count, price = draw_number(rng, max_number), draw_number(rng, max_number)
        sentence = words.pick(rng, wording).format(name=name, n=count, price=price, things=OBJECTS.pick(rng, wording))
        return sentence, working.do(count, "*", price)

    sentence, total = buy(FIRST)
    sentences = [sentence]
    while (left := level - len(working.steps)) > 0:
        if left >= 2 and rng.random() < 0.5:
            sentence, cost = buy(MORE)
            total = working.do(total, "+", cost)
        else:
            symbol, number = draw_change(rng, total, max_number, least=1)
            sentence = (EXTRA if symbol == "+" else DISCOUNT).pick(rng, wording).format(name=name, n=number)
            total = working.do(total, symbol, number)
        sentences.append(sentence)
    sentences.append(ASK.pick(rng, wording).format(name=name))
    return WorkedProblem(" ".join(sentences), working.steps, total)
