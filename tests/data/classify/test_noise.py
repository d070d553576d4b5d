from random import Random

import numpy as np
import pytest

from r1ray.config.classify import NoiseConfig
from r1ray.data.classify.classifier import load_classifier
from r1ray.data.classify.corruptions import CORRUPTIONS
from r1ray.data.classify.features import Ngrams
from r1ray.data.classify.noise import cut_passages, judge_noise, train_noise
from r1ray.errors import ConfigError, DataError
from tests.data.classify.helpers import problems, prose

CONFIG = NoiseConfig()
ARTICLE = (
    "The bridge was built in 1931 by workers who came from the villages along the river. For many years it carried the "
    "only railway line to the coast, until a storm damaged two of its pillars and the company decided to close it."
)
PROOF = (
    "Let x and y be even, so x = 2a and y = 2b. Then x + y = 2a + 2b = 2(a + b), which is even. For the product, "
    r"xy = 4ab = 2(2ab), and \frac{xy}{2} is even too. $\blacksquare$"
)
TABLE = "Revenue 2019 2018 2017\nFixed price $ 1,452.4 $ 1,146.2 $ 1,036.9\nOther 44.1 56.7 70.8\nTotal sales $ 1,496.5"


@pytest.fixture(scope="module")
def small():
    return train_noise([*prose(150), *problems(100)], ngrams=Ngrams(bits=12))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_a_function_of_text_and_draw_and_changes_the_text(name):
    for seed in range(20):
        spoiled = [CORRUPTIONS[name](ARTICLE, Random(seed)) for _ in range(2)]
        assert spoiled[0] == spoiled[1] != ARTICLE
        assert spoiled[0].strip()
    for text in ("", "a", "42", "\n"):
        CORRUPTIONS[name](text, Random(0))


def test_what_can_be_read_passes_the_shipped_classifier():
    texts = [ARTICLE, PROOF, TABLE, *problems(100, seed=9), *prose(20, seed=9)]
    assert judge_noise(texts, CONFIG) == [None] * len(texts)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_shipped_classifier_finds_most_of_what_was_spoiled(name):
    spoiled = [CORRUPTIONS[name](ARTICLE, Random(seed)) for seed in range(20)]
    found = [verdict for verdict in judge_noise(spoiled, CONFIG) if verdict]
    assert len(found) >= 14
    assert {(drop.stage, drop.reason) for drop in found} == {("clean", "noise")}


def test_a_classifier_trained_on_the_users_texts_tells_them_from_debris(small):
    clean = [*prose(40, seed=5), *problems(40, seed=5)]
    draw = Random(1)
    spoiled = [draw.choice(list(CORRUPTIONS.values()))(text, draw) for text in clean]
    scores = small.probabilities([*clean, *spoiled])[:, 1]
    assert (scores[:80] < 0.5).mean() > 0.97
    assert (scores[80:] > 0.5).mean() > 0.9


def test_real_noise_given_by_the_user_is_learned():
    debris = [f"{text} Advertisement." for text in prose(60, seed=4)]
    texts = [f"{text} Advertisement." for text in prose(20, seed=6)]
    without, taught = (train_noise(prose(60), noise=noise, ngrams=Ngrams(bits=12)) for noise in ((), debris))
    assert (without.probabilities(texts)[:, 1] < 0.5).mean() > 0.7
    assert (taught.probabilities(texts)[:, 1] > 0.5).mean() > 0.9


def test_training_twice_gives_the_same_file_and_it_is_read_back(small, tmp_path):
    small.save(tmp_path / "one.npz")
    train_noise([*prose(150), *problems(100)], ngrams=Ngrams(bits=12)).save(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    texts = prose(10, seed=3)
    read = load_classifier(tmp_path / "one.npz")
    np.testing.assert_allclose(read.probabilities(texts), small.probabilities(texts), atol=0.01)
    assert judge_noise(texts, NoiseConfig(model=str(tmp_path / "one.npz"))) == [None] * 10


def test_short_texts_other_languages_and_a_filter_that_is_off_pass():
    mashed = CORRUPTIONS["keyboard_mash"](ARTICLE, Random(0))
    assert judge_noise([mashed], CONFIG)[0]
    assert judge_noise([mashed], NoiseConfig(enabled=False)) == [None]
    german = (
        "Die Brücke wurde 1931 von Arbeitern gebaut, die aus den Dörfern am Fluss kamen, und sie ist noch heute da."
    )
    assert judge_noise(["qwpx zzkr", german, ""], CONFIG) == [None] * 3
    assert judge_noise([], CONFIG) == []


def test_passages_are_pieces_of_the_text_in_order():
    text = " ".join(prose(60))
    pieces = cut_passages(text, Random(0))
    assert 1 < len(pieces) <= 12
    start = 0
    for piece in pieces:
        start = text.index(piece, start) + len(piece)
    assert cut_passages("short text", Random(0)) == ["short text"]


def test_a_label_or_a_file_that_is_not_there_is_said(tmp_path, small):
    with pytest.raises(ConfigError, match="labels are clean, noise"):
        judge_noise(["text"], NoiseConfig(label="LABEL_1"), small)
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    for name in ("bad.npz", "none.npz"):
        with pytest.raises(DataError, match=name):
            load_classifier(tmp_path / name)
