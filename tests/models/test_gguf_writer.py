"""A GGUF file that r1ray writes is read by transformers as the model that it was made from."""

from pathlib import Path

import pytest
import torch
from gguf import GGUFReader, LlamaFileType
from gguf.quants import dequantize
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from r1ray.errors import ConfigError, ModelError
from r1ray.models.gguf import convert_gguf
from r1ray.models.gguf_writer import GgufScheme, write_gguf
from tests.tiny import CHAT_TEMPLATE, make_tiny_policy, make_tiny_tokenizer

EXACT = GgufScheme(linear="f32", embedding="f32")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_policy(tmp_path_factory.mktemp("tiny") / "model")


def logits(folder: Path, **load: str) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **load)
    with torch.no_grad():
        return model(torch.arange(3, 60)[None]).logits


def test_float32_file_has_the_same_logits_by_the_plain_loader(tiny: Path, tmp_path: Path) -> None:
    write_gguf(tiny, tmp_path / "tiny.gguf", EXACT)
    torch.testing.assert_close(logits(tmp_path, gguf_file="tiny.gguf"), logits(tiny), rtol=1e-4, atol=1e-4)


def test_conversion_there_and_back_is_the_same_folder(tiny: Path, tmp_path: Path) -> None:
    write_gguf(tiny, tmp_path / "tiny.gguf", EXACT)
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "back")
    before, after = AutoTokenizer.from_pretrained(tiny), AutoTokenizer.from_pretrained(tmp_path / "back")
    assert after.chat_template == CHAT_TEMPLATE
    assert after("a 12 <|im_end|>").input_ids == before("a 12 <|im_end|>").input_ids
    assert (after.eos_token_id, after.bos_token_id) == (before.eos_token_id, before.bos_token_id)
    torch.testing.assert_close(logits(tmp_path / "back"), logits(tiny), rtol=1e-4, atol=1e-4)


def test_qwen_keeps_its_biases_and_its_own_head(tmp_path: Path) -> None:
    config = Qwen2Config(
        vocab_size=len(make_tiny_tokenizer()),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(config)
    for name, weight in model.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(tmp_path / "qwen")
    make_tiny_tokenizer().save_pretrained(tmp_path / "qwen")
    write_gguf(tmp_path / "qwen", tmp_path / "qwen.gguf", EXACT)
    torch.testing.assert_close(logits(tmp_path, gguf_file="qwen.gguf"), logits(tmp_path / "qwen"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("scheme", "worst"), [("q8_0", 0.02), ("q4_1", 0.2), ("q4_0", 0.3)])
def test_weights_come_back_within_their_format_s_step(tiny: Path, tmp_path: Path, scheme: str, worst: float) -> None:
    formats = write_gguf(tiny, tmp_path / "tiny.gguf", scheme)
    assert formats["model.layers.0.mlp.up_proj"] == scheme
    assert formats["model.embed_tokens"] == "q8_0"
    expected = AutoModelForCausalLM.from_pretrained(tiny).state_dict()["model.layers.1.mlp.up_proj.weight"]
    tensor = next(t for t in GGUFReader(tmp_path / "tiny.gguf").tensors if t.name == "blk.1.ffn_up.weight")
    error = torch.tensor(dequantize(tensor.data, tensor.tensor_type)) - expected
    assert 0 < error.norm() / expected.norm() < worst


def test_formats_differ_by_matrix_and_narrow_rows_stay_float16(tmp_path: Path) -> None:
    make_tiny_policy(tmp_path / "narrow", hidden=48)
    scheme = GgufScheme(linear="q8_0", overrides=(("model.layers.1.mlp.*", "q4_0"),))
    formats = write_gguf(tmp_path / "narrow", tmp_path / "mixed.gguf", scheme)
    assert formats["model.layers.0.mlp.down_proj"] == "q8_0"  # rows of 96 = 3 blocks
    assert formats["model.layers.1.mlp.down_proj"] == "q4_0"
    assert formats["model.layers.1.mlp.up_proj"] == "f16"  # rows of 48
    written = GGUFReader(tmp_path / "mixed.gguf")
    assert {t.tensor_type.name for t in written.tensors} == {"F32", "F16", "Q8_0", "Q4_0"}
    assert written.fields["general.file_type"].contents() == LlamaFileType.MOSTLY_F16


def test_file_type_is_what_most_matrices_are_whichever_way_it_was_asked_for(tiny: Path, tmp_path: Path) -> None:
    """OpenVINO GenAI goes by it."""
    for number, scheme in enumerate(("q8_0", GgufScheme(linear="f16", overrides=(("model.layers.*", "q8_0"),)))):
        write_gguf(tiny, tmp_path / f"{number}.gguf", scheme)
        written = GGUFReader(tmp_path / f"{number}.gguf")
        assert written.fields["general.file_type"].contents() == LlamaFileType.MOSTLY_Q8_0


def test_what_gguf_cannot_say_is_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="q3_k"):
        GgufScheme(linear="q3_k")
    tokenizer = make_tiny_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = None
    make_tiny_policy(tmp_path / "odd")
    tokenizer.save_pretrained(tmp_path / "odd")
    with pytest.raises(ModelError, match="rule"):
        write_gguf(tmp_path / "odd", tmp_path / "odd.gguf")
    assert not list(tmp_path.glob("*.gguf"))
