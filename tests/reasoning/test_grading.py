import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1ray.errors import ConfigError, DataError, WorkerError
from r1ray.reasoning import grader_pool
from r1ray.reasoning.grading import ENTRY_KEY, GradeItem, Grader, grade_item, is_correct, verifier_for
from tests.reasoning.helpers import make_problem

VERIFIERS = """
import os, time

def same(reference, answer):
    return float(reference == answer)

def hang(reference, answer):
    return 10 ** 10 ** 10  # inside C code, with the interpreter's lock held: no signal handler would ever run

def sleep(reference, answer):
    time.sleep(600)

def die(reference, answer):
    os._exit(3)

def fail(reference, answer):
    raise ValueError("cannot read " + answer)

def talk(reference, answer):
    print('{"state": "done", "score": 0.0}', flush=True)
    return os.getpid()

def half(reference, answer):
    return 0.5
"""


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(seconds=20.0) as shared:
        yield shared


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("verifiers") / "own.py"
    path.write_text(VERIFIERS)
    return str(path)


def no_process(*_: object) -> None:
    raise AssertionError("a process was started")


def test_plain_numbers_never_start_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", no_process)
    with Grader() as lazy:
        report = lazy.grade(
            [("16", "16 eggs", "math"), ("1/2", "0.5", "math"), ("16", "17", "math"), ("16", None, "math")]
        )
        assert report.scores == [1.0, 1.0, 0.0, 0.0]
        assert (report.timeouts, report.crashes) == (0, 0)
        assert lazy.grade([]).scores == []


def test_an_answer_that_is_missing_is_wrong_whatever_the_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", no_process)
    assert Grader().grade([("{}", None, "reasoning-gym/leg_counting")]).scores == [0.0]


@pytest.mark.parametrize(
    ("reference", "answer", "right"),
    [
        ("x^2 + 2x + 1", "(x + 1)^2", True),
        ("x^2", "x^3", False),
        (r"\sqrt{8}", r"$2\sqrt{2}$", True),
        ("0.5", "50%", True),
        ("3", "x = 3", True),
        ("(1, 2)", "(1,2)", True),
        ("x", "no idea {", False),
    ],
)
def test_expressions_are_compared_by_computer_algebra(grader: Grader, reference: str, answer: str, right: bool) -> None:
    report = grader.grade([(reference, answer, "math")])
    assert (report.correct, report.timeouts, report.crashes) == ([right], 0, 0)


def test_grading_works_outside_the_main_thread(grader: Grader) -> None:
    # Where signal.alarm cannot: an actor's method may run in any thread.
    reports = []
    thread = threading.Thread(target=lambda: reports.append(grader.grade([("x + y", "y + x", "math")])))
    thread.start()
    thread.join()
    assert reports[0].scores == [1.0]


@pytest.mark.parametrize("verifier", ["hang", "sleep"])
def test_a_hanging_verifier_is_killed_at_its_deadline_and_the_rest_is_graded(own: str, verifier: str) -> None:
    with Grader(seconds=0.2) as strict:
        report = strict.grade(
            [("a", "b", f"{own}:{verifier}"), ("a", "a", f"{own}:same"), ("a", "b", f"{own}:{verifier}")]
        )
    # Equal items are graded once, and both count.
    assert (report.scores, report.timeouts, report.crashes) == ([0.0, 1.0, 0.0], 2, 0)


def test_what_is_left_at_the_batchs_deadline_scores_nothing(own: str) -> None:
    with Grader(seconds=60.0, batch_seconds=0.3, processes=2) as strict:
        report = strict.grade([("16", "16", "math")] + [("a", str(number), f"{own}:sleep") for number in range(5)])
        assert (report.scores, report.timeouts) == ([1.0, 0, 0, 0, 0, 0], 5)
        assert strict.grade([("a", "a", f"{own}:same")]).scores == [1.0]


def test_a_verifier_that_takes_its_process_down_is_a_crash_and_a_new_process_goes_on(grader: Grader, own: str) -> None:
    report = grader.grade([("a", "b", f"{own}:die"), ("a", "a", f"{own}:same")])
    assert (report.scores, report.timeouts, report.crashes) == ([0.0, 1.0], 0, 1)
    assert report.last_error == "the grader process ended with exit code 3"


def test_a_verifier_that_raises_is_a_crash_that_tells_why(grader: Grader, own: str) -> None:
    report = grader.grade([("a", "b", f"{own}:fail")])
    assert (report.scores, report.crashes, report.last_error) == ([0.0], 1, "ValueError: cannot read b")


def test_what_a_verifier_prints_is_not_read_as_its_score(grader: Grader, own: str) -> None:
    (process,) = grader.grade([("a", "b", f"{own}:talk")]).scores
    assert process > 1


def test_a_process_lives_on_from_batch_to_batch_until_it_dies(grader: Grader, own: str) -> None:
    item = GradeItem("a", "b", f"{own}:talk")
    first, second = (int(grader.grade([item]).scores[0]) for _ in range(2))
    assert first == second
    os.kill(first, signal.SIGKILL)
    while Path(f"/proc/{first}/stat").read_text().split()[2] != "Z":  # until the kernel has done it
        pass
    report = grader.grade([item])
    assert report.crashes == 0
    assert report.scores[0] != first


def test_closing_ends_the_processes_and_grading_again_starts_new_ones(own: str) -> None:
    item = GradeItem("a", "b", f"{own}:talk")
    with Grader(seconds=20.0) as closing:
        process = int(closing.grade([item]).scores[0])
    assert not Path(f"/proc/{process}").exists()
    assert closing.grade([item]).scores != [process]
    closing.close()


def test_partial_marks_are_scores_but_no_right_answer(grader: Grader, own: str) -> None:
    report = grader.grade([("a", "b", f"{own}:half")])
    assert (report.scores, report.correct) == ([0.5], [False])


@pytest.mark.parametrize(
    ("verifier", "message"),
    [
        ("maths", "There is no verifier 'maths'; expected `math`"),
        ("nowhere.py:score", "there is no file"),
    ],
)
def test_a_verifier_that_does_not_exist_stops_the_run(grader: Grader, verifier: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grader.grade([("a", "b", verifier)])


def test_a_process_that_cannot_start_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(WorkerError, match="A grader process ended with exit code 1 before it was ready"):
        Grader().grade([("x", "y", "math")])


def test_a_process_that_is_never_ready_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grader_pool, "_START_SECONDS", 0.0)
    with pytest.raises(WorkerError, match="A grader process was not ready after 0 s; it was killed"):
        Grader().grade([("x", "y", "math")])


def test_an_orphaned_process_ends_with_its_parent(own: str) -> None:
    # The parent dies without a word: its end of the pipe closes, and the grader's loop is over.
    script = f"""
import os
from r1ray.reasoning.grading import Grader
grader = Grader(seconds=60)
print(int(grader.grade([("a", "b", {own!r} + ":talk")]).scores[0]), flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    process = Path(f"/proc/{int(done.stdout)}")
    for _ in range(1000):
        if not process.exists() or process.joinpath("stat").read_text().split()[2] == "Z":
            break
        threading.Event().wait(0.01)
    else:
        pytest.fail("the grader process outlived its parent by ten seconds")


def test_the_verifier_follows_from_metadata_or_family() -> None:
    assert verifier_for(make_problem()) == "math"
    assert verifier_for(make_problem(family="reasoning-gym/leg_counting")) == "reasoning-gym/leg_counting"
    assert verifier_for(make_problem(family="reasoning-gym/leg_counting", verifier="math")) == "math"
    assert verifier_for(make_problem(verifier="mine.py:check")) == "mine.py:check"


def test_a_problem_and_a_text_make_an_item() -> None:
    assert grade_item(make_problem(), "9 + 7 = 16\nAnswer: 16") == GradeItem("11", "16", "math")
    assert grade_item(make_problem(), "9 + 7 = 16").answer is None


def test_a_reasoning_gym_problem_without_its_entry_is_refused() -> None:
    with pytest.raises(DataError, match=f"has no metadata\\['{ENTRY_KEY}'\\]"):
        grade_item(make_problem(family="reasoning-gym/leg_counting"), "Answer: 3")


def test_reasoning_gyms_own_verifier_judges_its_problems() -> None:
    # Many answers are right for a task such as this one: 6 = 2 + 4 = 4 + 2 = 2 * 3 …
    entry = {"question": "", "answer": "2 + 4", "metadata": {"numbers": [2, 4], "target": 6}}
    problem = make_problem(answer="2 + 4", family="reasoning-gym/countdown", **{ENTRY_KEY: json.dumps(entry)})
    texts = ["Answer: 4 + 2", "Answer: 4 - 2", "no answer"]
    with Grader(seconds=20.0) as grader:
        assert is_correct([problem] * 3, texts, grader) == [True, False, False]
        with pytest.raises(ConfigError, match="reasoning-gym has no task 'no_such_task'"):
            grader.grade([("{}", "1", "reasoning-gym/no_such_task")])


def test_is_correct_reads_the_final_answers() -> None:
    assert is_correct([make_problem()] * 2, ["Answer: 12\nAnswer: 11", "11"], Grader()) == [True, False]
