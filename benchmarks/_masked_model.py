"""A small masked language model, trained on the spot: what `masked` is measured with where no checkpoint is at hand."""

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

SPECIALS = ["[PAD]", "[UNK]", "[MASK]"]
_MASKED = 0.15
_LONGEST = 96


def train_masked_model(texts: Sequence[str], folder: Path, *, steps: int, seed: int = 0) -> Path:
    """Train a two-layer BERT over whole words on the texts, save it to `folder`, and return that."""
    random.seed(seed)
    torch.manual_seed(seed)
    tokenizer = _tokenizer(texts)
    ids = [encoding[:_LONGEST] for encoding in tokenizer(list(texts)).input_ids]
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=512
    )
    model = BertForMaskedLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for step in range(steps):
        rows = sorted(random.sample(ids, 32), key=len)
        width = len(rows[-1])
        batch = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        chosen = (torch.rand(batch.shape) < _MASKED) & (batch >= len(SPECIALS))
        hidden = model.bert(batch.masked_fill(chosen, 2), attention_mask=batch > 0).last_hidden_state
        loss = torch.nn.functional.cross_entropy(model.cls(hidden[chosen]), batch[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 200 == 0:
            print(f"masked language model: step {step + 1}, loss {loss:.3f}", flush=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(True)])
    words.train_from_iterator(texts, trainers.WordLevelTrainer(vocab_size=8000, special_tokens=SPECIALS))
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]", model_max_length=512
    )
