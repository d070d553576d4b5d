"""GGUF files become the Hugging Face folder that they were made from."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFWriter, TokenType
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from r1ray.errors import ModelError
from r1ray.models.gguf import converted_gguf
from tests.tiny import CHAT_TEMPLATE, SPECIALS, make_tiny_tokenizer, tiny_config


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows in llama.cpp's rotary layout: within a head, (first half, second half) become interleaved pairs."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write_gguf(file: Path, model: LlamaForCausalLM) -> None:
    """Write a float32 GGUF whose BPE would merge `1 2`, were it not for the digit splitting that `smollm` implies."""
    config = model.config
    vocab = make_tiny_tokenizer().get_vocab()
    tokens = [*sorted(vocab, key=lambda token: vocab[token]), "12"]
    writer = GGUFWriter(file, "llama")
    writer.add_context_length(512)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(100000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if token in SPECIALS else TokenType.NORMAL for token in tokens])
    writer.add_token_merges(["1 2"])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_chat_template(CHAT_TEMPLATE)
    names = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    weights = {name: tensor.numpy() for name, tensor in model.model.state_dict().items()}
    writer.add_tensor("token_embd.weight", weights["embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights["norm.weight"])
    for layer in range(config.num_hidden_layers):
        for theirs, ours in names.items():
            weight = weights[f"layers.{layer}.{theirs}.weight"]
            if ours == "attn_q":
                weight = permuted(weight, config.num_attention_heads)
            if ours == "attn_k":
                weight = permuted(weight, config.num_key_value_heads)
            writer.add_tensor(f"blk.{layer}.{ours}.weight", np.ascontiguousarray(weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def source() -> LlamaForCausalLM:
    config = tiny_config()
    config.vocab_size += 1
    torch.manual_seed(0)
    return LlamaForCausalLM(config)


@pytest.fixture(scope="module")
def folder(source: LlamaForCausalLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("gguf")
    write_gguf(root / "tiny.gguf", source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("R1RAY_CACHE", str(root / "cache"))
        return converted_gguf(root / "tiny.gguf")


def test_converted_weights_are_those_that_the_file_was_made_from(source: LlamaForCausalLM, folder: Path) -> None:
    converted = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    expected = source.state_dict()
    assert converted.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(converted[name], weight, rtol=0, atol=0)


def test_converted_config_is_clean_and_can_be_saved_again(folder: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.rms_norm_eps == 1e-5  # not float32's 9.999999747378752e-06
    assert not hasattr(model.config, "quantization_config")
    assert model.config.tie_word_embeddings
    assert model.generation_config.eos_token_id == 2
    model.save_pretrained(tmp_path)


def test_digits_stand_alone_although_the_merges_would_join_them(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.convert_ids_to_tokens(tokenizer("1234 12").input_ids) == ["1", "2", "3", "4", "Ġ", "1", "2"]


def test_special_tokens_and_template_come_from_the_metadata(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    specials = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token)
    assert specials == ("<|im_start|>", "<|im_end|>", "<|im_end|>", "<|endoftext|>")
    assert tokenizer.chat_template == CHAT_TEMPLATE
    assert tokenizer.model_max_length == 512
    assert tokenizer("<|im_end|>").input_ids == [2]


def test_second_conversion_of_the_same_bytes_is_the_cached_folder(
    source: LlamaForCausalLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R1RAY_CACHE", str(tmp_path / "cache"))
    write_gguf(tmp_path / "a.gguf", source)
    first = converted_gguf(tmp_path / "a.gguf")
    (first / "mark").touch()
    assert (converted_gguf(tmp_path / "a.gguf") / "mark").exists()
    assert [path.name for path in first.parent.iterdir()] == [first.name]  # no temporary folder is left behind


def test_cache_that_cannot_be_written_names_the_variable_that_moves_it(
    source: LlamaForCausalLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "occupied").touch()
    monkeypatch.setenv("R1RAY_CACHE", str(tmp_path / "occupied"))
    write_gguf(tmp_path / "a.gguf", source)
    with pytest.raises(ModelError, match="Set R1RAY_CACHE"):
        converted_gguf(tmp_path / "a.gguf")


def test_file_that_is_no_gguf_says_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R1RAY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "broken.gguf").write_bytes(b"GGUX" + bytes(64))
    with pytest.raises(ModelError, match=r"broken\.gguf cannot be read as a GGUF"):
        converted_gguf(tmp_path / "broken.gguf")
    assert list((tmp_path / "cache" / "models").iterdir()) == []
