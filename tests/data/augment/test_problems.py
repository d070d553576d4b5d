"""Operators on worked problems: every verified variant has the right answer, recomputed here by other means."""

import re
from fractions import Fraction
from random import Random

import pytest

from r1ray.data.augment.counterexample import counterexample
from r1ray.data.augment.inversion import inversion
from r1ray.data.augment.numeric import numeric
from r1ray.data.augment.parameters import parameters
from r1ray.data.augment.program import read_program
from r1ray.data.augment.substitute import wrong_with
from r1ray.data.augment.variant import Edit, Inapplicable, Row, attempt
from r1ray.data.augment.worked import Worked, worked_of
from tests.data.augment.rows import BAKER, baker_answer, generated_rows


def _verified(operator: object, rows: list[Row], seeds: int = 1) -> list[tuple[Row, Edit]]:
    edits = [(row, attempt(operator, row, Random(f"{seed}/{row['id']}"))) for row in rows for seed in range(seeds)]
    return [(row, edit) for row, edit in edits if edit.check == "verified"]


def _chain_value(question: str) -> int:
    """`Compute 3 + 9 - 9.`, left to right (the families have no products here)."""
    numbers = re.findall(r"([-+]?)\s*(\d+)", question)
    return sum(-int(number) if sign == "-" else int(number) for sign, number in numbers)


def _question_and_final(edit: Edit) -> tuple[str, str]:
    answer = str(edit.fields["answer"])
    return str(edit.fields["question"]), answer.rpartition("#### ")[2]


@pytest.mark.parametrize("operator", [parameters, numeric])
def test_the_answer_of_a_changed_chain_is_its_value(operator: object) -> None:
    rows = generated_rows("chain:2-4")
    variants = _verified(operator, rows)
    assert len(variants) > len(rows) // 4
    for row, edit in variants:
        question, answer = _question_and_final(edit)
        assert question != row["question"]
        assert int(answer) == _chain_value(question)
        assert edit.fields["solution"].endswith(f"Answer: {answer}")


def test_the_answer_of_a_changed_annotated_problem_is_what_the_formula_gives() -> None:
    variants = _verified(parameters, [BAKER], seeds=40)
    assert len(variants) > 20
    prices = set()
    for _, edit in variants:
        question, answer = _question_and_final(edit)
        rolls, price = re.search(r"sells (\d+) rolls", question)[1], re.search(r"\$([\d.]+)\. ", question)[1]  # type: ignore[index]
        assert Fraction(answer) == baker_answer(Fraction(rolls), Fraction(price))
        assert Fraction(answer).denominator == 1, "a whole answer stays whole"
        prices.add(price)
    assert len(prices) > 3


def test_a_perturbed_number_stays_within_five_per_cent() -> None:
    for _, edit in _verified(numeric, [BAKER], seeds=60):
        question, _ = _question_and_final(edit)
        rolls, price = re.search(r"sells (\d+) rolls", question)[1], re.search(r"\$([\d.]+)\. ", question)[1]  # type: ignore[index]
        assert abs(Fraction(rolls) - 48) <= Fraction(48, 20)
        assert abs(Fraction(price) - Fraction("3.5")) <= Fraction("3.5") / 20


def test_step_numbers_are_not_taken_for_amounts() -> None:
    row = {"id": "a", "question": "Compute 2 + 13.", "solution": "1. 2 + 13 = 15\nAnswer: 15", "answer": "15"}
    for _, edit in _verified(parameters, [row], seeds=20):
        assert edit.fields["solution"].startswith("1. ")


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("A box has 30 pens in 4 rows. 10 go.", "30-10=<<30-10=20>>20\n#### 20", "not used"),
        ("A box has 30 pens. 10 go.", "30-10=<<30-10=21>>21\n#### 21", "does not hold"),
        ("A box has 30 pens. 10 go.", "30-10=<<30-10=20>>20\n#### 21", "does not give the answer"),
        ("A box has 30 pens.", "30-17=<<30-17=13>>13\n#### 13", "from nowhere"),
        ("A box has 30 pens.", "It has 30.\n#### 30", "no equations"),
    ],
)  # fmt: skip
def test_what_cannot_be_recomputed_is_left_alone(question: str, answer: str, reason: str) -> None:
    edit = attempt(parameters, {"id": "a", "question": question, "answer": answer}, Random(0))
    assert edit.check == "rejected"
    assert reason in edit.reason
    assert not edit.fields


def test_a_value_that_stands_for_two_things_changes_only_where_both_do() -> None:
    row = {
        "id": "a",
        "question": "A box has 24 pens, and half of them are red. 12 more red ones come. How many red ones are there?",
        "answer": "24/2=<<24/2=12>>12\n12+12=<<12+12=24>>24\n#### 24",
    }
    variants = _verified(parameters, [row], seeds=100)
    assert variants
    for _, edit in variants:
        question, answer = _question_and_final(edit)
        pens, more = map(int, re.findall(r"\d+", question))
        assert int(answer) == pens // 2 + more


def test_a_hidden_sum_of_the_question_is_kept() -> None:
    row = {
        "id": "glass",
        "question": "Each 8-ounce glass takes 6.5 ounces of milk and 1.5 ounces of syrup. There are 40 glasses.",
        "answer": (
            "6.5*40=<<6.5*40=260>>260 of milk\n1.5*40=<<1.5*40=60>>60 of syrup\n8*40=<<8*40=320>>320 in all\n"
            "320-260-60=<<320-260-60=0>>0\n320/8=<<320/8=40>>40\n#### 40"
        ),
    }
    for _, edit in _verified(parameters, [row], seeds=40):
        numbers = [Fraction(found) for found in re.findall(r"\d+(?:\.\d+)?", str(edit.fields["question"]))]
        assert numbers[0] == numbers[1] + numbers[2]


def test_a_wrong_solution_is_seen() -> None:
    right = Worked(question="", solution="3 + 4 = 7", answer="7")
    assert not wrong_with(right)
    assert wrong_with(Worked(question="", solution="3 + 4 = 8", answer="8"))
    assert wrong_with(Worked(question="", solution="3 + 4 = 7", answer="8"))
    assert wrong_with(Worked(question="", solution="so it is seven", answer="7"))


def test_the_unknown_of_an_inverted_chain_solves_it() -> None:
    variants = _verified(inversion, generated_rows("chain:2-4"))
    assert len(variants) > 30
    for _, edit in variants:
        question, answer = _question_and_final(edit)
        whole, _, condition = question.partition(" If the answer to this question is ")
        assert _chain_value(whole.replace("x", answer)) == int(re.match(r"\d+", condition)[0])  # type: ignore[index]


def test_the_unknown_of_an_inverted_annotated_problem_solves_it() -> None:
    found = set()
    for _, edit in _verified(inversion, [BAKER], seeds=12):
        question, answer = _question_and_final(edit)
        assert "the answer to this question is 252" in question
        found.add(answer)
    assert found == {"48", "3.50"}


def test_a_claim_is_true_exactly_when_the_formula_says_so() -> None:
    verdicts = []
    for _, edit in _verified(counterexample, [BAKER], seeds=30):
        question, verdict = _question_and_final(edit)
        least = int(re.search(r"at least (\d+), the", question)[1])  # type: ignore[index]
        claimed = Fraction(re.search(r"question is at least ([\d.]+)\. Is", question)[1])  # type: ignore[index]
        values = [baker_answer(Fraction(x), Fraction("3.5")) for x in range(least, least + 30)]
        assert (min(values) >= claimed) == (verdict == "true")
        assert ("counterexample, and" in edit.fields["answer"]) == (verdict == "false")
        verdicts.append(verdict)
    assert set(verdicts) == {"true", "false"}


def test_a_program_is_read_from_prose_as_from_annotations() -> None:
    tagged = worked_of(BAKER)
    plain = Worked(question=tagged.question, solution=re.sub(r"<<.*?>>", "", tagged.solution), answer=tagged.answer)
    of_tags, of_prose = read_program(tagged), read_program(plain)
    assert [equation.operands for equation in of_tags.equations] == [eq.operands for eq in of_prose.equations]
    assert [given.value for given in of_tags.givens] == [Fraction(48), Fraction("3.5")]


def test_units_between_the_numbers_of_prose_are_looked_through() -> None:
    row = {
        "id": "age",
        "question": "Ann is 15 years old and Bob is 9 years older. What is three times Bob's age?",
        "solution": "Bob is 15 years + 9 years = 24 years old.\nThree times that is 24 years x 3 = 72 years.",
        "answer": "72",
    }
    variants = _verified(parameters, [row], seeds=20)
    assert len(variants) > 10
    for _, edit in variants:
        ann, more = map(int, re.findall(r"\d+", str(edit.fields["question"])))
        assert int(edit.fields["answer"]) == 3 * (ann + more)
        assert f"{ann} years + {more} years = {ann + more} years old" in edit.fields["solution"]


@pytest.mark.parametrize("expression", ["__import__('os')", "2**9", "9 if 1 else 2", "(1).real + 1"])
def test_nothing_but_the_four_operations_is_read(expression: str) -> None:
    with pytest.raises(Inapplicable):
        read_program(Worked(question="2", solution=f"<<{expression}=512>>512", answer="512"))


def test_a_table_keeps_its_years_and_its_answer_is_executed() -> None:
    row = {
        "id": "t",
        "table": [["", "2019", "2018"], ["Sales", "$ 1,452.4", "$ 1,146.2"], ["Other", "44.1", "56.7"]],
        "question": "What is the change in sales from 2018 to 2019?",
        "derivation": "1,452.4 - 1,146.2",
        "answer": "306.2",
    }
    edit = attempt(numeric, row, Random(1))
    assert edit.check == "verified"
    new = edit.fields["table"]
    assert new[0] == row["table"][0]
    assert new[1] != row["table"][1]
    after, before = (Fraction(cell.replace("$ ", "").replace(",", "")) for cell in new[1][1:])
    assert Fraction(edit.fields["answer"]) == after - before
    assert attempt(numeric, {**row, "derivation": ""}, Random(1)).check == "rejected"
    quoting = {**row, "question": "How far is 1,452.4 from 1,146.2?"}
    assert attempt(numeric, quoting, Random(1)).reason == "the question quotes the table"


def test_features_move_by_at_most_five_per_cent_and_keep_their_types() -> None:
    row = {"id": "f", "features": {"age": 200, "rate": 0.5, "name": "x", "on": True}, "label": 1}
    edit = attempt(numeric, row, Random(4))
    features = edit.fields["features"]
    assert abs(features["age"] - 200) <= 10 and isinstance(features["age"], int)
    assert 0 < abs(features["rate"] - 0.5) <= 0.025
    assert (features["name"], features["on"]) == ("x", True)
