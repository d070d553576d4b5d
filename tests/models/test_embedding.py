import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel

from r1ray.models.embedding import Embedder, batches_by_length
from tests.tiny import make_tiny_policy, make_tiny_tokenizer

TEXTS = ["3 + 4 = 7", "a much longer text than the others, by far", "", "short"]


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return make_tiny_policy(tmp_path_factory.mktemp("policy"))


def test_a_vector_is_the_mean_of_the_texts_own_hidden_states(policy):
    vectors = Embedder(str(policy), batch_tokens=256)(TEXTS)
    model, tokenizer = AutoModel.from_pretrained(policy).eval(), make_tiny_tokenizer()
    for text, vector in zip(TEXTS, vectors, strict=True):
        ids = torch.tensor([tokenizer.encode(text)], dtype=torch.long)
        expected = torch.zeros(64)
        if text:
            with torch.inference_mode():
                expected = model(input_ids=ids).last_hidden_state[0].mean(dim=0)
        torch.testing.assert_close(vector, expected, atol=1e-4, rtol=1e-4)


def test_only_so_many_tokens_are_read(policy):
    embed = Embedder(str(policy), max_tokens=6, batch_tokens=6)
    torch.testing.assert_close(*embed(["abcdefgh", "abcdefxyz"]))


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 120))
def test_batches_hold_every_text_once_and_keep_their_bound(lengths, batch_tokens):
    batches = batches_by_length(lengths, batch_tokens)
    assert sorted(row for rows in batches for row in rows) == [row for row, length in enumerate(lengths) if length]
    for rows in batches:
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= batch_tokens
