"""Tiny models with a real tokenizer, as Hugging Face folders, for tests of every room to train and sample from."""

import random
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make_tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level: every byte is one token, so any text round-trips and every digit stands alone.

    As with SmolLM2, `<|im_end|>` ends a turn and pads as well: whoever masks by id instead of by length is found out.
    """
    alphabet = [*SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(BPE(vocab={token: index for index, token in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def tiny_config(*, layers: int = 2, hidden: int = 64) -> LlamaConfig:
    """Llama with grouped queries and tied embeddings, like the default policy."""
    return LlamaConfig(
        vocab_size=len(make_tiny_tokenizer()),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )


def make_tiny_policy(path: Path, *, seed: int = 0, layers: int = 2, hidden: int = 64) -> Path:
    """Write a random tiny policy and its tokenizer to `path`, and return it. The same seed gives the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(tiny_config(layers=layers, hidden=hidden))
    _spread(model)
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=2)
    model.save_pretrained(path)
    make_tiny_tokenizer().save_pretrained(path)
    return path


def make_tiny_prm(
    path: Path, *, style: str = "token_classification", position: str = "step_end", seed: int = 0, steps: int = 0
) -> Path:
    """Write a tiny process reward model with the tiny policy's tokenizer to `path`, and return it.

    Args:
        path: the folder.
        style: `token_classification` or `math_shepherd` (a random language model that calls itself one).
        position: where a token classifier finds its labels: `step_end` or `separator`.
        seed: of the weights and of the training data.
        steps: optimizer steps that teach a token classifier to call lines with an equals sign right; 45 are enough.
    """
    config = tiny_config()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if style == "math_shepherd":
            model: PreTrainedModel = LlamaForCausalLM(config)
            _spread(model)
        else:
            config.num_labels = 2
            model = LlamaForTokenClassification(config)
            _train_prm(model, steps, seed, 1 if position == "separator" else 0)
    model.config.r1ray_prm = {"style": style, "position": position}
    model.save_pretrained(path)
    make_tiny_tokenizer().save_pretrained(path)
    return path


def _train_prm(model: PreTrainedModel, steps: int, seed: int, after: int) -> None:
    """Lines of random characters, one in two with an equals sign; a line's label is on its last character, or `after`
    1, on the newline."""
    rng, tokenizer = random.Random(seed), make_tiny_tokenizer()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        rows, labels = [], []
        for _ in range(16):
            lines = ["".join(rng.choices("0123456789+-* abcdefgh=", k=11)) for _ in range(4)]
            lines = [line if rng.random() < 0.5 else line.replace("=", "x") for line in lines]
            rows.append(tokenizer("".join(line + "\n" for line in lines)).input_ids)
            labels.append([-100] * len(rows[-1]))
            for line in range(len(lines)):
                labels[-1][12 * line + 10 + after] = int("=" in lines[line])
        loss = model(torch.tensor(rows), labels=torch.tensor(labels)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def _spread(model: PreTrainedModel) -> None:
    """Enlarge the weights: at the usual scale every next token is about equally likely, and context hardly matters."""
    for name, weight in model.named_parameters():
        if "norm" not in name:
            weight.mul_(10.0 if "embed" in name else 8.0)
