"""The self-evolving engine: seeds, mutation, the teacher's answers, verification, filter, next generation.

A run is a function of seeds, configuration and teacher. Each generation is written as it grows, and a run that was
killed goes on after its last batch.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from r1ray.config.synthesize import SynthesizeConfig
from r1ray.data.augment.variant import Inapplicable, Row
from r1ray.data.augment.worked import without_tags, worked_of
from r1ray.data.ids import dataset_fingerprint, problem_id
from r1ray.data.synthesize.journal import Batch, Journal, rows_of
from r1ray.data.synthesize.mutate import Mutant, Task, mutate
from r1ray.data.synthesize.patterns import as_form_of, coverage, pattern_of
from r1ray.data.synthesize.teacher import Teacher
from r1ray.data.synthesize.verify import ask, verify
from r1ray.errors import DataError
from r1ray.reasoning.grading import Grader

_NOT_KEYS = frozenset({"api_key_variable", "requests", "timeout_s", "retries", "teacher", "generations"})
"""Settings that change how a run goes and not what comes out (more generations go on from those that are there)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Synthesis:
    """What a run made."""

    rows: list[dict[str, Any]]
    """Problems as rows: `question`, `answer`, `solution`, lineage, `check` (`verified`), `solve_rate`, `pattern`."""
    report: dict[str, Any]
    """Figures by generation, and the coverage of patterns before and after."""


def synthesize(
    seeds: Sequence[Row],
    config: SynthesizeConfig,
    folder: Path,
    *,
    teacher: Teacher | None = None,
    grader: Grader | None = None,
    progress: Callable[[int, int, int], None] = lambda generation, done, of: None,
) -> Synthesis:
    """Grow worked problems from seeds.

    Args:
        seeds: rows with an `id`; those without a worked solution are passed over, and counted.
        config: generations, mutations, agreement.
        folder: where the generations are written, and read again by a run that goes on.
        teacher: answers and writes problems; None = only programs do.
        grader: compares answers; None = one of its own.
        progress: called after each batch with the generation, the batches done and their number.

    Raises:
        DataError: no seed can be used, or the folder is another run's.
    """
    parents, unusable = _seed_rows(seeds)
    if not parents:
        raise DataError(
            f"None of the {len(seeds)} seeds is a worked problem: {dict(unusable)}. Give rows with question, solution "
            "and answer."
        )
    journal = Journal(folder, _key(parents, config, teacher))
    known = {problem_id(row["question"]) for row in parents}
    made: list[dict[str, Any]] = []
    generations: list[dict[str, Any]] = []
    before = _coverage(parents)
    own = grader or Grader()
    try:
        for generation in range(1, config.generations + 1):
            batches = _grow(parents, generation, config, journal, known, teacher, own, progress)
            rows = rows_of(batches)
            made += rows
            known.update(problem_id(row["question"]) for row in rows)
            generations.append(_figures(generation, batches))
            if not rows:
                break
            parents = rows
    finally:
        if grader is None:
            own.close()
    report = {
        "seeds": {"used": before["problems"], "passed over": dict(unusable)},
        "generations": generations,
        "coverage_of_seeds": before,
        "coverage_with_synthesis": _coverage([*_seed_rows(seeds)[0], *made]),
    }
    return Synthesis(rows=[_public(row) for row in made], report=report)


def select(rows: Sequence[Row], count: int, seed: int, generation: int) -> list[Row]:
    """At most `count` rows, pattern by pattern in turn, so that rare patterns go on before common ones fill up."""
    by_pattern: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_pattern[row["pattern"]].append(row)
    for pattern, members in by_pattern.items():
        Random(f"{seed}/{generation}/{pattern}").shuffle(members)
    queues = sorted(by_pattern.values(), key=len)
    chosen: list[Row] = []
    while queues and len(chosen) < count:
        chosen += [queue.pop() for queue in queues][: count - len(chosen)]
        queues = [queue for queue in queues if queue]
    return chosen


def _grow(
    parents: Sequence[Row],
    generation: int,
    config: SynthesizeConfig,
    journal: Journal,
    known: set[str],
    teacher: Teacher | None,
    grader: Grader,
    progress: Callable[[int, int, int], None],
) -> list[Batch]:
    finished = journal.finished(generation)
    if finished is not None:
        return finished
    tasks = _tasks(select(parents, config.population, config.seed, generation), generation, config)
    slices = [tasks[start : start + config.batch] for start in range(0, len(tasks), config.batch)]
    batches = journal.begun(generation)
    seen = known | {problem_id(row["question"]) for row in rows_of(batches)}
    for number in range(len(batches), len(slices)):
        batch = _batch(number, slices[number], generation, config, seen, teacher, grader)
        journal.write(generation, batch)
        batches.append(batch)
        progress(generation, number + 1, len(slices))
    journal.finish(generation)
    return batches


def _tasks(parents: Sequence[Row], generation: int, config: SynthesizeConfig) -> list[Task]:
    """Each parent's mutations: different ones first, then the same ones with other seeds."""
    tasks = []
    for parent in parents:
        order = list(config.mutations)
        Random(f"{config.seed}/{generation}/{parent['id']}").shuffle(order)
        for child in range(config.children):
            seed = config.seed + 1000 * generation + child
            tasks.append(Task(parent=parent, mutation=order[child % len(order)], seed=seed))
    return tasks


def _batch(
    number: int,
    tasks: Sequence[Task],
    generation: int,
    config: SynthesizeConfig,
    seen: set[str],
    teacher: Teacher | None,
    grader: Grader,
) -> Batch:
    """Mutate, drop what is there already, ask, verify."""
    rejected: Counter[str] = Counter()
    new: list[tuple[Task, Mutant]] = []
    for task, mutant in zip(tasks, mutate(tasks, teacher), strict=True):
        key = problem_id(mutant.question)
        if mutant.trouble or key in seen:
            rejected[f"{task.mutation}: {mutant.trouble or 'the problem is there already'}"] += 1
            continue
        seen.add(key)
        new.append((task, mutant))
    mutants = [mutant for _, mutant in new]
    solutions: list[list[str]] = [[] for _ in new]
    if teacher is not None and new:
        questions = [mutant.question for mutant in mutants]
        solutions = ask(questions, [int(task.id[:7], 16) for task, _ in new], teacher, config.samples)
    rows = []
    for (task, mutant), verdict in zip(new, verify(mutants, solutions, grader, config.agreement), strict=True):
        if verdict.trouble:
            rejected[f"{task.mutation}: {verdict.trouble}"] += 1
            continue
        rows.append(
            {
                "id": problem_id(mutant.question),
                "question": mutant.question,
                "answer": verdict.answer,
                "solution": without_tags(verdict.solution),
                "program": mutant.program,
                "parent": task.parent["id"],
                "operator": task.mutation,
                "augment_seed": task.seed,
                "generation": generation,
                "check": "verified",
                "check_reason": verdict.by,
                "teacher": teacher.name if teacher else "",
                "solve_rate": verdict.solve_rate,
                "pattern": as_form_of(mutant.question, task.parent["pattern"])
                if mutant.program
                else pattern_of(mutant.question, verdict.solution),
            }
        )
    return {"batch": number, "rows": rows, "rejected": dict(rejected), "tried": len(tasks)}


def _seed_rows(seeds: Sequence[Row]) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Seeds in the engine's form, and how many cannot be used, by reason."""
    rows: list[dict[str, Any]] = []
    unusable: Counter[str] = Counter()
    for seed in seeds:
        try:
            worked = worked_of(seed)
        except Inapplicable as error:
            unusable[str(error)] += 1
            continue
        rows.append(
            {
                "id": str(seed["id"]),
                "question": worked.question,
                "answer": worked.answer,
                "solution": without_tags(worked.solution),
                "program": worked.solution,
                "pattern": pattern_of(worked.question, worked.solution),
            }
        )
    return rows, unusable


def _key(seeds: Sequence[Row], config: SynthesizeConfig, teacher: Teacher | None) -> str:
    settings = {name: value for name, value in asdict(config).items() if name not in _NOT_KEYS}
    content = [
        settings,
        dataset_fingerprint(f"{row['id']}/{row['question']}" for row in seeds),
        teacher and teacher.name,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _figures(generation: int, batches: Sequence[Batch]) -> dict[str, Any]:
    rejected: Counter[str] = Counter()
    for batch in batches:
        rejected.update(batch["rejected"])
    rows = rows_of(batches)
    return {
        "generation": generation,
        "tried": sum(batch["tried"] for batch in batches),
        "kept": len(rows),
        "by_mutation": dict(Counter(row["operator"] for row in rows).most_common()),
        "verified_by": dict(Counter(row["check_reason"] for row in rows).most_common()),
        "rejected": dict(rejected.most_common()),
    }


def _coverage(rows: Sequence[Row]) -> dict[str, Any]:
    return coverage((row["question"], row["pattern"]) for row in rows)


def _public(row: Mapping[str, Any]) -> dict[str, Any]:
    """Without the program, whose annotations nobody should learn to write."""
    return {name: value for name, value in row.items() if name != "program"}
