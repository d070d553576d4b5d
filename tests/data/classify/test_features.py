import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from r1ray.data.classify.features import Ngrams

NGRAMS = Ngrams(bits=12)


def vector(text, ngrams=NGRAMS, lexicons=None):
    return ngrams.vectors([text], lexicons or {}).toarray()[0]


@given(st.lists(st.text(max_size=40), max_size=5))
def test_a_text_has_the_same_vector_alone_and_among_others(texts):
    together = NGRAMS.vectors(texts, {}).toarray()
    for text, row in zip(texts, together, strict=True):
        assert (vector(text) == row).all()
        assert np.linalg.norm(row[: 2**12]) == np.float32(1) or abs(np.linalg.norm(row[: 2**12]) - 1) < 1e-5


def test_numbers_are_alike_and_case_of_characters_is_not():
    hashed = slice(0, 2**12)
    words_alone = Ngrams(bits=12, chars=(), words=(1,))
    characters = Ngrams(bits=12, chars=(1, 2, 3), words=())
    assert (vector("sold 12 eggs", characters)[hashed] == vector("sold 97 eggs", characters)[hashed]).all()
    assert (vector("Sold", characters) != vector("sold", characters)).any()
    assert (vector("Sold eggs", words_alone)[hashed] == vector("sold eggs", words_alone)[hashed]).all()


def test_counts_of_one_ngram_are_damped():
    """a four times and b once: log 5 and log 2, brought to length one. Blanks around the text are three more grams."""
    row = vector("aaaab", Ngrams(bits=16, chars=(1,), words=()))
    found = sorted(row[: 2**16][row[: 2**16] > 0])
    expected = np.array([np.log(2), np.log(3), np.log(5)])
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), rtol=1e-6)


def test_word_lists_count_their_share_in_any_case_and_beside_punctuation():
    lexicons = {"one": frozenset({"court", "judge"}), "other": frozenset({"cell"})}
    shares = vector("The Court, and a judge sat on it for days", NGRAMS, lexicons)[-2:]
    np.testing.assert_allclose(shares, [2.0, 0.0])


def test_repetition_shows_whatever_the_length():
    def variety(text):
        return vector(text)[2**12]

    assert variety("buy cheap shoes " * 5) > variety("buy cheap shoes " * 50)
    assert variety("the old captain carried a wooden box home before the winter came") > variety("buy cheap shoes " * 5)
