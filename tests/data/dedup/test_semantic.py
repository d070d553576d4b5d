from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.config.classify import SemanticDedupConfig
from r1ray.data.dedup import semantic
from r1ray.data.dedup.semantic import cosine_pairs, deduplicate_by_meaning, verified
from r1ray.models.embedding import Embedder
from tests.tiny import make_tiny_policy

CONFIG = SemanticDedupConfig(enabled=True, threshold=0.9)
EGGS = "Anna has 12 eggs and sells 5 of them. How many eggs does she have left?"
SAME = "Anna sells 5 of the 12 eggs that she has. How many of them does she have left?"
OTHER_NUMBERS = "Anna has 14 eggs and sells 5 of them. How many eggs does she have left?"
OTHER = "A train drives 60 miles in 2 hours. How fast is it?"
VECTORS = {EGGS: [1, 0.02, 0], SAME: [1, 0, 0], OTHER_NUMBERS: [1, 0.01, 0], OTHER: [-1, 2, 3]}


def embed(texts):
    return np.array([VECTORS[text] for text in texts]) + 50  # all point nearly the same way, as hidden states do


def dropped(texts, ids=None, parents=None, config=CONFIG):
    names = ids or [str(n) for n in range(len(texts))]
    verdicts = deduplicate_by_meaning(texts, names, parents or [""] * len(texts), config, embed)
    return {name: verdict.detail for name, verdict in zip(names, verdicts, strict=True) if verdict}


def test_a_paraphrase_goes_and_the_same_problem_with_other_numbers_stays():
    assert dropped([EGGS, OTHER_NUMBERS, SAME, OTHER]) == {"2": "0"}


def test_without_the_check_of_numbers_the_cosine_alone_would_drop_it():
    config = SemanticDedupConfig(enabled=True, threshold=0.9, same_numbers=False, overlap=0)
    assert dropped([EGGS, OTHER_NUMBERS, SAME, OTHER], config=config) == {"1": "0", "2": "0"}


def test_words_must_overlap_as_far_as_that_is_asked():
    pairs = np.array([[0, 1]])
    assert len(verified([EGGS, SAME], pairs, CONFIG)) == 1
    assert len(verified([EGGS, SAME], pairs, SemanticDedupConfig(overlap=0.99))) == 0


def test_verdicts_do_not_depend_on_the_order_of_rows_and_variants_stay_with_their_parent():
    texts, ids = [SAME, OTHER, EGGS], ["b", "c", "a"]
    assert dropped(texts, ids) == {"b": "a"}
    assert dropped(texts[::-1], ids[::-1]) == {"b": "a"}
    assert dropped(texts, ids, ["a", "", ""]) == {}
    assert dropped(texts, ids, ["", "", "z"]) == {"a": "b"}


def test_it_is_off_by_default():
    assert dropped([EGGS, SAME, OTHER], config=SemanticDedupConfig()) == {}


@given(st.integers(1, 40), st.integers(0, 5), st.sampled_from([3, 7, 1024]))
def test_blocks_find_the_pairs_that_comparing_all_finds(rows, seed, block):
    vectors = np.random.default_rng(seed).integers(-2, 3, (rows, 3)).astype(float)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(semantic, "_BLOCK", block)
        found = cosine_pairs(vectors, 0.8)
    centred = vectors - vectors.mean(axis=0)
    expected = set()
    for one in range(rows):
        for other in range(one + 1, rows):
            norm = np.linalg.norm(centred[one]) * np.linalg.norm(centred[other])
            cosine = centred[one] @ centred[other] / norm if norm else 0.0
            if abs(cosine - 0.8) < 1e-6:
                return
            if cosine > 0.8:
                expected.add((one, other))
    assert set(map(tuple, found.tolist())) == expected and len(found) == len(expected)


def test_a_policys_hidden_states_put_copies_together(tmp_path):
    draw = Random(0)
    texts = ["".join(draw.choices("abcdefghij ", k=40)) for _ in range(10)]
    ids = [f"{n:02}" for n in range(11)]
    encoder = Embedder(str(make_tiny_policy(tmp_path)))
    config = SemanticDedupConfig(enabled=True, threshold=0.999)
    verdicts = deduplicate_by_meaning([*texts, texts[3] + "."], ids, [""] * 11, config, encoder)
    found = {name: verdict.detail for name, verdict in zip(ids, verdicts, strict=True) if verdict}
    assert set(found) <= {"10"} and found.get("10", "03") == "03"
