"""A saved policy is an ordinary Hugging Face folder, whole or absent, and damage is found."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from r1ray.config.policy import LoraConfig, PolicyConfig
from r1ray.errors import CheckpointError
from r1ray.models.checkpoint import ADAPTER, save_policy, verify_files
from r1ray.models.loading import load_policy, resolve_model
from r1ray.models.policy import Policy, policy_state_dict
from r1ray.models.value_head import ValueHead


def assert_same_weights(folder: Path, expected: dict[str, torch.Tensor]) -> None:
    found = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=0)


def test_from_pretrained_opens_what_was_saved(tiny_policy: Path, tmp_path: Path) -> None:
    model, tokenizer = load_policy(PolicyConfig(path=str(tiny_policy)))
    save_policy(tmp_path / "run" / "model", Policy(model, ValueHead(64)), tokenizer)
    folder = resolve_model(str(tmp_path / "run"))
    assert_same_weights(folder, policy_state_dict(model))
    reopened = AutoTokenizer.from_pretrained(folder)
    text = "12 + 3 = 15\n"
    assert reopened(text).input_ids == tokenizer(text).input_ids and reopened.chat_template == tokenizer.chat_template
    assert AutoModelForCausalLM.from_pretrained(folder).generation_config.eos_token_id == tokenizer.eos_token_id


def test_given_weights_are_saved_instead_of_the_models(tiny_policy: Path, tmp_path: Path) -> None:
    model, tokenizer = load_policy(PolicyConfig(path=str(tiny_policy)))
    gathered = {name: weight.clone() + 1 for name, weight in policy_state_dict(model).items()}
    save_policy(tmp_path / "model", model, tokenizer, gathered)
    assert_same_weights(tmp_path / "model", gathered)


def test_adapted_policy_is_saved_merged_with_its_adapters_beside(tiny_policy: Path, tmp_path: Path) -> None:
    adapted, tokenizer = load_policy(PolicyConfig(path=str(tiny_policy), lora=LoraConfig(rank=2)))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    hashes = save_policy(tmp_path / "model", adapted, tokenizer)
    assert_same_weights(tmp_path / "model", policy_state_dict(adapted))
    assert f"{ADAPTER}/adapter_model.safetensors" in hashes
    base = AutoModelForCausalLM.from_pretrained(tiny_policy)
    again = PeftModel.from_pretrained(base, tmp_path / "model" / ADAPTER)
    ids = torch.arange(10, 30)[None]
    torch.testing.assert_close(again(ids).logits, adapted(ids).logits)


def test_saving_again_replaces_the_folder_and_leaves_nothing_else(tiny_policy: Path, tmp_path: Path) -> None:
    model, tokenizer = load_policy(PolicyConfig(path=str(tiny_policy)))
    save_policy(tmp_path / "model", model, tokenizer)
    (tmp_path / "model" / "stale").touch()
    save_policy(tmp_path / "model", model, tokenizer)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert not (tmp_path / "model" / "stale").exists()


def test_failed_save_keeps_the_folder_that_was_there(tiny_policy: Path, tmp_path: Path) -> None:
    model, tokenizer = load_policy(PolicyConfig(path=str(tiny_policy)))
    hashes = save_policy(tmp_path / "model", model, tokenizer)

    class FullDisk:
        def save_pretrained(self, _: Path) -> None:
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        save_policy(tmp_path / "model", model, FullDisk())
    verify_files(tmp_path / "model", hashes)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_damaged_file_is_found_and_named(tiny_policy: Path, tmp_path: Path, damage: str) -> None:
    model, tokenizer = load_policy(PolicyConfig(path=str(tiny_policy)))
    hashes = save_policy(tmp_path / "model", model, tokenizer)
    verify_files(tmp_path / "model", hashes)
    file = tmp_path / "model" / "model.safetensors"
    if damage == "remove":
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors differ"):
        verify_files(tmp_path / "model", hashes)
