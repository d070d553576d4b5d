"""Mutations of a worked problem: by its program, with the answer known, or in the teacher's words, without one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from r1ray.config.synthesize import PROGRAM_MUTATIONS
from r1ray.data.augment.counterexample import counterexample
from r1ray.data.augment.inversion import inversion
from r1ray.data.augment.parameters import parameters
from r1ray.data.augment.variant import attempt, stream_of, variant_id
from r1ray.data.ids import normalise_question
from r1ray.data.synthesize.teacher import Asked, Teacher
from r1ray.reasoning.answers import extract_answer
from r1ray.reasoning.checker import given_numbers

LONGEST_QUESTION = 1500
"""Characters of a problem that a teacher may write."""
_OPERATORS = {"parameters": parameters, "inversion": inversion, "counterexample": counterexample}
_REQUESTS = {
    "harder": "Rewrite this problem so that solving it takes one more step of reasoning. Keep it solvable, with one "
    "numerical answer.",
    "rephrase": "Write this problem in other words. Keep every number and what is asked.",
    "setting": "Write a new problem of the same structure in an entirely different setting, with other numbers and one "
    "numerical answer.",
}
_ALONE = "Reply with the problem alone, without its solution.\n\nProblem: "
_LABEL = re.compile(r"^\s*(?:\*\*)?(?:new |rewritten )?(?:problem|question)(?:\*\*)?\s*:(?:\*\*)?\s*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One mutation to be made."""

    parent: Mapping[str, Any]
    """A row in the engine's form: `question`, `answer`, `solution`, `program`."""
    mutation: str
    seed: int

    @property
    def id(self) -> str:
        """Of the task, and the source of its random numbers."""
        return variant_id(str(self.parent["id"]), self.mutation, self.seed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutant:
    """A mutated problem, or why there is none."""

    question: str = ""
    answer: str = ""
    """Empty where nobody knows it yet."""
    program: str = ""
    """Solution that the program gives; empty where a teacher wrote the problem."""
    trouble: str = ""


def mutate(tasks: Sequence[Task], teacher: Teacher | None) -> list[Mutant]:
    """The mutants of a batch, in order."""
    by_program = {task.id: _by_program(task) for task in tasks if task.mutation in PROGRAM_MUTATIONS}
    written = [task for task in tasks if task.mutation not in PROGRAM_MUTATIONS]
    texts = _write(written, teacher)
    by_teacher = {task.id: _read(task, text) for task, text in zip(written, texts, strict=True)}
    return [(by_program | by_teacher)[task.id] for task in tasks]


def _by_program(task: Task) -> Mutant:
    row = {
        "question": task.parent["question"],
        "answer": task.parent["answer"],
        "solution": task.parent["program"] or task.parent["solution"],
    }
    edit = attempt(_OPERATORS[task.mutation], row, stream_of(task.seed, task.mutation, task.id))
    if edit.check != "verified":
        return Mutant(trouble=edit.reason)
    return Mutant(question=edit.fields["question"], answer=edit.fields["answer"], program=edit.fields["solution"])


def _write(tasks: Sequence[Task], teacher: Teacher | None) -> list[str]:
    if not tasks or teacher is None:
        return [""] * len(tasks)
    asked = [
        Asked(prompt=f"{_REQUESTS[task.mutation]} {_ALONE}{task.parent['question']}", seed=int(task.id[:7], 16))
        for task in tasks
    ]
    return [samples[0] for samples in teacher.answer(asked)]


def _read(task: Task, text: str) -> Mutant:
    """The problem in a teacher's reply, if it is one."""
    question = " ".join(_LABEL.sub("", text.rpartition("</think>")[2]).split())
    before, now = normalise_question(str(task.parent["question"])), normalise_question(question)
    trouble = ""
    if not question:
        trouble = "the teacher wrote nothing"
    elif len(question) > LONGEST_QUESTION:
        trouble = "the teacher's problem is too long"
    elif now == before:
        trouble = "the teacher changed nothing"
    elif extract_answer(question) is not None:
        trouble = "the teacher's problem states its answer"
    elif not given_numbers(question):
        trouble = "the teacher's problem gives no numbers"
    elif task.mutation == "rephrase" and _values(question) != _values(str(task.parent["question"])):
        trouble = "the teacher changed a number"
    return Mutant(trouble=trouble) if trouble else Mutant(question=question)


def _values(question: str) -> list[list[Any]]:
    return sorted(sorted(values) for values in given_numbers(question))
