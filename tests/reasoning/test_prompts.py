from typing import Any

from r1ray.reasoning.prompts import chat_messages, prompt_ids, target_text
from tests.reasoning.helpers import make_problem

# The shape of SmolLM2's chat template.
CHATML = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class Characters:
    """A tokenizer whose tokens are code points, answering as transformers 5 (a mapping) or 4 (a list) does."""

    def __init__(self, chat_template: str | None, mapping: bool = True) -> None:
        self.chat_template = chat_template
        self._mapping = mapping

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [ord(char) for char in text]}

    def apply_chat_template(self, conversation: Any, *, add_generation_prompt: bool, tokenize: bool) -> Any:
        assert tokenize
        text = "".join(f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in conversation)
        ids = self(text + "<|im_start|>assistant\n" * add_generation_prompt)
        return ids if self._mapping else ids["input_ids"]


def text_of(ids: list[int]) -> str:
    return "".join(map(chr, ids))


def test_target_text_numbers_the_steps_and_ends_with_the_answer() -> None:
    assert target_text(["9 + 7 = 16", "16 - 5 = 11"], "11") == "1. 9 + 7 = 16\n2. 16 - 5 = 11\nAnswer: 11"


def test_an_empty_system_line_is_no_message() -> None:
    problem = make_problem("Compute 1 + 1.")
    assert chat_messages(problem, "") == [{"role": "user", "content": "Compute 1 + 1."}]
    assert [message["role"] for message in chat_messages(problem, "Think.")] == ["system", "user"]


def test_the_prompt_ends_where_the_models_own_words_begin() -> None:
    expected = (
        "<|im_start|>system\nSolve.<|im_end|>\n<|im_start|>user\nCompute 1 + 1.<|im_end|>\n<|im_start|>assistant\n"
    )
    for mapping in (True, False):
        ids = prompt_ids(Characters(CHATML, mapping), make_problem("Compute 1 + 1."), "Solve.")
        assert text_of(ids) == expected


def test_a_base_model_without_a_chat_template_gets_plain_paragraphs() -> None:
    assert (
        text_of(prompt_ids(Characters(None), make_problem("Compute 1 + 1."), "Solve.")) == "Solve.\n\nCompute 1 + 1.\n"
    )
    assert text_of(prompt_ids(Characters(None), make_problem("Compute 1 + 1."), "")) == "Compute 1 + 1.\n"


def test_a_transformers_tokenizer_with_smollm2s_template_gives_the_same_ids_as_its_text() -> None:
    from transformers import PreTrainedTokenizerFast

    from tests.reasoning.helpers import byte_level_tokenizer

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=byte_level_tokenizer(), chat_template=CHATML)
    ids = prompt_ids(tokenizer, make_problem("Compute 9 + 7."), "Solve.")
    assert all(type(token) is int for token in ids)
    assert tokenizer.decode(ids) == (
        "<|im_start|>system\nSolve.<|im_end|>\n<|im_start|>user\nCompute 9 + 7.<|im_end|>\n<|im_start|>assistant\n"
    )
