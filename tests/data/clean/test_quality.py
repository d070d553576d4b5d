import random

import pytest

from r1ray.data.clean.quality import judge

PROSE = (
    "The committee met on Tuesday to discuss the future of the old harbour, and most of those who spoke agreed that "
    "something should be done before winter. A report with drawings had been sent round a week earlier, but few of the "
    "members could say that they had read it with care. After two hours they asked the engineers to come back with a "
    "cheaper plan, one that would leave the lighthouse where it is and have room for the fishing boats."
)
SOLUTION = "Mia has 3 eggs and buys 4 more.\n3 + 4 = 7\nShe eats 2.\n7 - 2 = 5\n#### 5"


def reason(text: str, profile: str) -> str | None:
    verdict = judge(text, profile)
    return verdict and verdict.reason


@pytest.mark.parametrize("profile", ["web", "reasoning"])
def test_prose_passes_both_profiles(profile):
    assert reason(PROSE, profile) is None


@pytest.mark.parametrize("profile", ["web", "reasoning"])
def test_nothing_is_empty(profile):
    verdict = judge(" \n ", profile)
    assert verdict is not None
    assert (verdict.stage, verdict.reason) == ("clean", "empty")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("too short", "number of words"),
        (" ".join("a" * 60), "mean word length"),
        (PROSE + " #" * 20, "too many hashes"),
        (PROSE + " well..." * 20, "too many ellipses"),
        ("\n".join(f"- {line}" for line in PROSE.split(". ")), "bullet lines"),
        ("\n".join(f"{line} …" for line in PROSE.split(", ")), "lines that end in an ellipsis"),
        (PROSE + " 1234" * 30, "few words with letters"),
        (" ".join(f"word{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(60)), "few stop words"),
        ("\n".join([*PROSE.split(". "), *PROSE.split(". ")]), "repeated lines"),
        (PROSE + " buy this cheap watch now" * 12, "frequent 2-gram"),
        (PROSE + " " + PROSE, "repeated 5-grams"),
    ],
)
def test_each_rule_of_gopher_rejects_what_it_is_for(text, expected):
    assert reason(text, "web") == expected


def test_blank_lines_are_no_repeated_lines():
    assert reason(PROSE.replace(". ", ".\n\n\n\n"), "web") is None


def test_a_worked_solution_passes_the_reasoning_profile_and_not_gophers():
    assert reason(SOLUTION, "web") is not None
    assert reason(SOLUTION, "reasoning") is None


@pytest.mark.parametrize(
    "text",
    [
        "Compute 3 + 9 - 9.",
        "5!",
        r"Solve $\frac{x^2 - 4}{x - 2} = \sqrt{x + 7}$ for real $x$; write \boxed{x}.",
        "\n".join(f"{n} + {n} = {2 * n}" for n in range(1, 40)),
        "((-3 * 4 + 2) - (7 - 9 - 1 * 2)) = (-12 + 2) - (7 - 9 - 2) = -10 - (-4) = -6",
        "-" * 60 + "\nStep 1\n" + "-" * 60 + "\nStep 2",
        "一个苹果三元，五个苹果多少钱？",
    ],
)
def test_mathematics_passes_the_reasoning_profile(text):
    assert reason(text, "reasoning") is None


def noise() -> str:
    return "".join(random.Random(0).choices([chr(code) for code in range(33, 127)], k=5000))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("?!", "nothing to read"),
        ("a1 " + "#;@&" * 30, "mostly symbols"),
        ("caf\ufffd \ufffd\ufffd au lait for two", "broken characters"),
        ("data " + "aGVsbG8gd29ybGQ" * 80, "one very long word"),
        ("ha " * 40, "low character entropy"),
        (" ".join(noise()[start : start + 50] for start in range(0, 5000, 50)), "high character entropy"),
        ("The answer is 4" + "2" * 60 + " and this is all that I know about it", "run of one pattern"),
        ("wait let me think again " * 30, "few different words"),
        ("The first step is clear.\n" * 3 + "\n".join(["So we add the number seven to it."] * 9), "repeated lines"),
    ],
)
def test_the_reasoning_profile_rejects_noise_and_loops(text, expected):
    assert reason(text, "reasoning") == expected
