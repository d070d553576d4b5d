"""From a Hugging Face folder to one GGUF file, each matrix in the number format that a scheme gives it.

llama.cpp, transformers (`gguf_file=`) and r1ray's serving engine (OpenVINO) read what is written here.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import (
    GGML_QUANT_SIZES,
    MODEL_ARCH,
    GGMLQuantizationType,
    GGUFWriter,
    LlamaFileType,
    TensorNameMap,
    TokenType,
    get_tensor_name_map,
)
from gguf.quants import quantize
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from r1ray.errors import ConfigError, ModelError
from r1ray.models.loading import load_network, load_tokenizer, resolve_model

FORMATS = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
"""Number formats that can be written, widest first. `qB_0`: B bits and one float16 scale for 32 weights; `qB_1`: also
a float16 minimum. K-quants need rows of 256 weights and a quantizer that the `gguf` package does not have."""

_ARCHITECTURES = {
    "llama": MODEL_ARCH.LLAMA,
    "mistral": MODEL_ARCH.LLAMA,
    "qwen2": MODEL_ARCH.QWEN2,
    "qwen3": MODEL_ARCH.QWEN3,
}
_OUTSIDE = ("embed_tokens", "lm_head")
"""Matrices that are in no layer."""
_SPLIT_WORDS = {
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+": "llama-bpe",
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+": "qwen2",
}
"""llama.cpp's name of the rule that cuts text into words before BPE, by the rule."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GgufScheme:
    """The number format of each matrix; vectors (norms, biases) stay float32."""

    linear: str = "q8_0"
    """Of the layers' matrices."""
    embedding: str = "q8_0"
    """Of the token embedding and the output head, which small models feel most."""
    overrides: tuple[tuple[str, str], ...] = ()
    """(pattern, format): the first pattern that matches a module's Hugging Face name wins, `*.mlp.*` or
    `model.layers.3.*` say."""

    def __post_init__(self) -> None:
        for name in (self.linear, self.embedding, *(chosen for _, chosen in self.overrides)):
            if name not in FORMATS:
                raise ConfigError(f"GGUF format {name!r} is unknown; expected one of {', '.join(FORMATS)}.")

    def format_of(self, module: str) -> str:
        """The format of the module with this name."""
        for pattern, chosen in self.overrides:
            if fnmatch(module, pattern):
                return chosen
        return self.embedding if module.endswith(_OUTSIDE) else self.linear


def write_gguf(checkpoint: str | Path, out: Path, scheme: GgufScheme | str = "q8_0") -> dict[str, str]:
    """Write the model at `checkpoint` (anything that `resolve_model` takes) as the GGUF file `out`.

    Args:
        checkpoint: of a Llama-shaped model: llama, mistral, qwen2 or qwen3, with a byte-level BPE tokenizer.
        out: the file, which appears whole or not at all.
        scheme: formats by matrix; a format's name = that one for every layer's matrices.

    Returns:
        The format of each matrix by its Hugging Face name. A matrix whose rows are no multiple of the format's block is
        float16.

    Raises:
        ModelError: the model's shape, rope or tokenizer has no faithful counterpart in GGUF.
    """
    folder = resolve_model(str(checkpoint))
    scheme = GgufScheme(linear=scheme) if isinstance(scheme, str) else scheme
    model = load_network(AutoModelForCausalLM, folder, dtype="float32")
    return write_network(model.config, model.state_dict(), load_tokenizer(folder), out, scheme)


def write_network(
    config: Any, weights: Mapping[str, Tensor], tokenizer: PreTrainedTokenizerBase, out: Path, scheme: GgufScheme
) -> dict[str, str]:
    """`write_gguf` of weights in memory, by their Hugging Face names."""
    architecture = _ARCHITECTURES.get(config.model_type)
    if architecture is None:
        raise ModelError(
            f"A {config.model_type} model cannot be written as GGUF here; expected one of "
            f"{', '.join(_ARCHITECTURES)}. llama.cpp's convert_hf_to_gguf.py knows more architectures."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
        file = Path(temporary) / "model.gguf"
        writer = GGUFWriter(file, "llama" if architecture is MODEL_ARCH.LLAMA else config.model_type)
        _add_shape(writer, config)
        _add_tokenizer(writer, tokenizer, config.vocab_size)
        names = get_tensor_name_map(architecture, config.num_hidden_layers)
        formats = _add_weights(writer, config, weights, names, scheme)
        _add_file_type(writer, formats)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        file.replace(out)
    return formats


def _add_shape(writer: GGUFWriter, config: Any) -> None:
    rope = dict(config.rope_parameters or {})
    if rope.get("rope_type", "default") != "default":
        raise ModelError(
            f"Rotary scaling of type {rope['rope_type']!r} cannot be written as GGUF here; expected `default`."
        )
    writer.add_type("model")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_rope_dimension_count(head)
    if head * config.num_attention_heads != config.hidden_size:
        writer.add_key_length(head)
        writer.add_value_length(head)
    writer.add_vocab_size(config.vocab_size)


def _add_file_type(writer: GGUFWriter, formats: Mapping[str, str]) -> None:
    """The format of most of the layers' matrices. OpenVINO GenAI goes by it: a file of quantized matrices that calls
    itself float16 is refused."""
    inside = [chosen for name, chosen in formats.items() if not name.endswith(_OUTSIDE)]
    most = max(dict.fromkeys(inside), key=inside.count)
    writer.add_file_type(LlamaFileType["ALL_F32" if most == "f32" else f"MOSTLY_{most.upper()}"])
    writer.add_quantization_version(2)


def _add_weights(
    writer: GGUFWriter, config: Any, weights: Mapping[str, Tensor], names: TensorNameMap, scheme: GgufScheme
) -> dict[str, str]:
    formats = {}
    for name, weight in weights.items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue  # readers take the embedding where there is no output matrix
        theirs = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if theirs is None:
            raise ModelError(f"{name} has no counterpart in a GGUF file of a {config.model_type} model.")
        values = weight.detach().to(torch.float32).cpu().numpy()
        if writer.arch == "llama":
            values = _interleaved(name, values, config)
        if values.ndim == 1:
            writer.add_tensor(theirs, np.ascontiguousarray(values))
            continue
        module = name.removesuffix(".weight")
        formats[module] = _fitting(scheme.format_of(module), values.shape[-1])
        kind = GGMLQuantizationType[formats[module].upper()]
        writer.add_tensor(theirs, quantize(np.ascontiguousarray(values), kind), raw_dtype=kind)
    return formats


def _fitting(chosen: str, columns: int) -> str:
    return chosen if columns % GGML_QUANT_SIZES[GGMLQuantizationType[chosen.upper()]][0] == 0 else "f16"


def _interleaved(name: str, values: np.ndarray, config: Any) -> np.ndarray:
    """Rows of q and k as llama.cpp's rotary embedding wants them: a head's two halves become interleaved pairs."""
    for part, heads in (("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads)):
        if f".{part}." in name:
            paired = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
            return paired.swapaxes(1, 2).reshape(values.shape)
    return values


def _add_tokenizer(writer: GGUFWriter, tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> None:
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    bpe = backend["model"]
    if bpe["type"] != "BPE" or bpe.get("byte_fallback"):
        raise ModelError(f"A {bpe['type']} tokenizer cannot be written as GGUF here; expected a byte-level BPE.")
    tokens = [f"[PAD{index}]" for index in range(vocab_size)]
    kinds = [TokenType.UNUSED] * vocab_size
    for token, index in bpe["vocab"].items():
        tokens[index], kinds[index] = token, TokenType.NORMAL
    for added in backend["added_tokens"]:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_word_rule(backend["pre_tokenizer"]))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    if merges := [merge if isinstance(merge, str) else " ".join(merge) for merge in bpe["merges"]]:
        writer.add_token_merges(merges)
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(False)
    for role, add in (
        ("bos", writer.add_bos_token_id),
        ("eos", writer.add_eos_token_id),
        ("unk", writer.add_unk_token_id),
        ("pad", writer.add_pad_token_id),
    ):
        if (index := getattr(tokenizer, f"{role}_token_id")) is not None:
            add(index)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _word_rule(pre_tokenizer: dict[str, Any] | None) -> str:
    """llama.cpp's name of a tokenizer's rule for words: a reader that applied another one would merge other tokens."""
    steps = (pre_tokenizer or {}).get("pretokenizers", [pre_tokenizer or {}])
    match [step.get("type") for step in steps]:
        case ["ByteLevel"]:
            return "gpt-2"
        case ["Digits", "ByteLevel"] if steps[0]["individual_digits"]:
            return "smollm"
        case ["Split", "ByteLevel"] if name := _SPLIT_WORDS.get(steps[0]["pattern"].get("Regex", "")):
            return name
    raise ModelError(
        "The tokenizer cuts text into words by a rule that GGUF readers have no name for here; expected GPT-2's, "
        f"SmolLM's, Llama 3's or Qwen2's. It is: {json.dumps(pre_tokenizer)[:300]}"
    )
