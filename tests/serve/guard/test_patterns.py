"""Matches, beginnings of matches, and matches that what follows unmakes."""

import pytest

from r1ray.errors import ConfigError
from r1ray.serve.guard.patterns import Patterns


@pytest.mark.parametrize(
    ("pattern", "text", "hit", "hold"),
    [
        (r"sk-\d{4}", "my sk-1234 ", 3, 11),
        (r"sk-\d{4}", "my sk-12", None, 3),
        (r"sk-\d{4}", "my sk-x", None, 7),
        (r"sk-\d+", "my sk-12", None, 3),  # a match that may grow is judged when it ends
        (r"cat(?!alogue)", "a cata", None, 2),
        (r"cat(?!alogue)", "a cats" + 32 * " ", 2, 38),
        (r"(?i)BOMB", "a bomb.", 2, 7),
    ],
)
def test_of_a_text_that_goes_on(pattern, text, hit, hold):
    scan = Patterns([pattern]).scan(text, 0, False)
    assert (scan.hit, scan.hold) == (hit, hold)


def test_of_a_whole_text():
    assert Patterns([r"sk-\d+"]).scan("my sk-12", 0, True).hit == 3
    assert Patterns([r"sk-\d+", "my"]).scan("my sk-12", 0, True).hit == 0
    assert Patterns([r"sk-\d+"]).scan("my sk-", 0, True).hit is None


@pytest.mark.parametrize("pattern", ["(", "a*"])
def test_an_expression_that_is_none_or_blocks_everything_is_refused(pattern):
    with pytest.raises(ConfigError, match=r"guard\.patterns"):
        Patterns([pattern])
