"""Operators on text: numbers, number words and names survive; the rest is noise of a known kind."""

import re
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from r1ray.data.augment.back_translation import back_translation
from r1ray.data.augment.masked import HuggingFaceFillMask, masked
from r1ray.data.augment.noise import deletion, insertion, swap
from r1ray.data.augment.numbers import find_numbers, same_numbers
from r1ray.data.augment.synonyms import synonyms
from r1ray.data.augment.translate import Apertium, Seq2SeqTranslator
from r1ray.data.augment.typos import typos
from r1ray.data.augment.variant import Edit, Row, attempt
from r1ray.data.augment.wordnet import WordNet
from r1ray.errors import DataError, ModelError
from tests.data.augment.rows import BAKER, generated_rows

ROW: Row = {
    "id": "r",
    "question": (
        "Yesterday Natalia baked twenty-one large cakes, and 1,200 small ones at $3.50 each. Did half the hungry "
        "children of Madrid eat fewer than 15% of these cakes?"
    ),
}


@pytest.mark.parametrize("operator", [insertion, deletion, swap, typos])
def test_numbers_and_names_survive_noise(operator: object) -> None:
    changed = 0
    for row in [ROW, BAKER, *generated_rows("story", "shop", count=20)]:
        for seed in range(5):
            edit = attempt(operator, row, Random(seed))
            if edit.check == "rejected":
                assert not edit.fields
                continue
            changed += 1
            assert edit.check == "unverified"
            assert set(edit.fields) == {"question"}
            after = edit.fields["question"]
            assert after != row["question"]
            assert re.findall(r"\d+", after) == re.findall(r"\d+", row["question"])
            for name in re.findall(r"Natalia|Madrid|twenty-one|half|fewer", row["question"]):
                assert name in after
    assert changed > 50


def test_each_kind_of_noise_does_what_it_says() -> None:
    text = ROW["question"]
    words = re.findall(r"\w+", text)
    inserted = attempt(insertion, ROW, Random(0)).fields["question"]
    assert re.findall(r"\w+", inserted) == words and len(inserted) > len(text)
    deleted = re.findall(r"\w+", attempt(deletion, ROW, Random(0)).fields["question"])
    assert len(deleted) < len(words) and set(deleted) < set(words)
    swapped = re.findall(r"\w+", attempt(swap, ROW, Random(0)).fields["question"])
    assert sorted(swapped) == sorted(words) and sum(a != b for a, b in zip(swapped, words, strict=True)) == 2
    slips = re.findall(r"\w+", attempt(typos, ROW, Random(0)).fields["question"])
    changed = [(a, b) for a, b in zip(words, slips, strict=True) if a != b]
    assert changed and all(abs(len(a) - len(b)) <= 1 and a[0] == b[0] and a[-1] == b[-1] for a, b in changed)


@pytest.mark.parametrize(
    "after", ["He has 3 and 5.", "He has 3.", "He has 3, 5 and 5.", "He has 3 and 5%.", "He has 35."]
)
def test_a_number_that_does_not_survive_is_seen(after: str) -> None:
    assert same_numbers("He has 3 and 5.", after) == (after == "He has 3 and 5.")
    assert not same_numbers("She has half of 3.", "She has 3.")


def test_numbers_are_found_as_amounts_or_as_something_else() -> None:
    found = find_numbers("1. At 8:30 the 2nd of 12 cars, 1,200 kg, used 5% of 1/4 of $2.50.")
    assert [number.text for number in found if number.plain] == ["12", "1,200", "2.50"]


@pytest.fixture
def wordnet(tmp_path: Path) -> WordNet:
    """Six synsets in WordNet's format: `large, big`; `cake, gateau`; `eat`; `eat` as a noun too; `kid, child`."""
    synsets = {
        "noun": [("cake", "gateau"), ("bite",), ("child", "kid")],
        "verb": [("consume", "devour")],
        "adj": [("large", "big", "tall_order"), ("hungry", "peckish")],
        "adv": [],
    }
    for part, rows in synsets.items():
        data, index = "  1 licence\n", {}
        for row in rows:
            for word in row:
                index[word] = len(data)
            words = " ".join(f"{word} 0" for word in row)
            data += f"{len(data):08d} 05 {part[0]} {len(row):02x} {words} 000 | gloss\n"
        (tmp_path / f"data.{part}").write_text(data)
        common = "".join(
            f"{word} {part[0]} 1 1 @ 1 {int(word != 'peckish')} {at:08d}\n" for word, at in sorted(index.items())
        )
        (tmp_path / f"index.{part}").write_text("  1 licence\n" + common)
    return WordNet(tmp_path)


def test_a_synonym_stands_wherever_its_word_stood_in_the_same_form(wordnet: WordNet) -> None:
    assert wordnet.synonyms("large") == ["big"]  # not the phrase
    assert wordnet.synonyms("cakes") == ["gateaus"]
    assert wordnet.synonyms("hungry") == []  # its only synonym is rare
    assert wordnet.synonyms("unheard") == []
    after = {synonyms(wordnet)([ROW], [Random(seed)])[0].fields["question"] for seed in range(8)}
    assert {text.count("gateaus") for text in after} == {0, 2}
    assert all("1,200" in text and "Natalia" in text for text in after)


def test_missing_wordnet_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lacks index\.noun.*apt-get install wordnet-base"):
        WordNet(tmp_path)


class _Translator:
    def __init__(self, loses: str = "") -> None:
        self._loses = loses

    def there(self, texts: Sequence[str]) -> list[str]:
        return [text.replace("cakes", "tartas") for text in texts]

    def back(self, texts: Sequence[str]) -> list[str]:
        return [text.replace("tartas", "pies").replace(self._loses, "") for text in texts]


def test_back_translation_keeps_numbers_or_is_rejected() -> None:
    rows = [ROW, {"id": "none", "n": 1}, {"id": "same", "text": "Nothing here."}]
    streams = [Random(0)] * 3
    good, no_text, same = back_translation(_Translator())(rows, streams)
    assert good.check == "unverified" and good.fields["question"].count("pies") == 2
    assert (no_text.reason, same.reason) == ("no text", "nothing to change")
    assert back_translation(_Translator("1,200 "))(rows, streams)[0] == Edit(
        fields={"question": ROW["question"].replace("cakes", "pies").replace("1,200 ", "")},
        check="rejected",
        reason="a number did not survive",
    )


def test_missing_apertium_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="apt-get install apertium apertium-eng-spa"):
        Apertium()


def test_apertium_is_asked_once_a_direction_and_a_text_a_paragraph(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "apertium"
    program.write_text(
        '#!/bin/sh\nif [ "$1" = "-l" ]; then echo eng-spa; echo spa-eng; else echo "$2" >> "$0.log"; tr a-z A-Z; fi\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    apertium = Apertium()
    assert apertium.back(apertium.there(["one\ntwo", "three"])) == ["ONE TWO", "THREE"]
    assert (tmp_path / "apertium.log").read_text().split() == ["eng-spa", "spa-eng"]
    with pytest.raises(DataError, match="no direction 'eng-fra'"):
        Apertium("eng-fra", "spa-eng")


def test_translation_models_of_transformers_translate_there_and_back(tmp_path: Path) -> None:
    words = ["<pad>", "</s>", "<unk>", "cakes", "and", "tartas"]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = T5Config(
            vocab_size=len(words), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0
        )
        T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    translator = Seq2SeqTranslator(str(tmp_path), str(tmp_path), max_new_tokens=4)
    texts = ["cakes and cakes", "cakes"]
    for translate in (translator.there, translator.back):
        assert translate(texts) == [translate([text])[0] for text in texts], "whatever else is in the batch"
        assert all(set(text.split()) <= set(words) for text in translate(texts))
    with pytest.raises(ModelError, match="two folders or ids"):
        Seq2SeqTranslator(str(tmp_path / "nowhere"), str(tmp_path))


def test_a_masked_model_fills_gaps_and_leaves_numbers_alone(tmp_path: Path) -> None:
    words = ["[PAD]", "[UNK]", "[MASK]", "tasty", "golden", "seven", "bread", "rolls", "on"]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, mask_token="[MASK]", pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        )
        BertForMaskedLM(config).save_pretrained(tmp_path)
    operator = masked(HuggingFaceFillMask(str(tmp_path)))
    edits = operator([ROW] * 4, [Random(seed) for seed in range(4)])
    assert edits == operator([ROW] * 4, [Random(seed) for seed in range(4)])
    for edit in edits:
        new = set(re.findall(r"\w+", edit.fields["question"])) - set(re.findall(r"\w+", ROW["question"]))
        assert new and new <= {"tasty", "golden", "bread", "rolls"}, "neither `seven` nor a special token"
