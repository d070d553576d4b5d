"""From a GGUF file to a Hugging Face folder that every engine opens, converted once and cached.

What transformers' own GGUF loader leaves behind is mended here: the model still claims to be quantized (so it cannot be
saved), the tokenizer has lost its `Digits` pre-tokenizer and takes `<|im_start|>` for its end of sequence, and float32
metadata turns 1e-05 into 9.999999747378752e-06.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader, TokenType
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast

from r1ray.errors import ModelError
from r1ray.models.quiet import no_progress_bars

CONVERTER_VERSION = 1
"""Part of the cache key: raise it whenever the same file would be converted differently."""

_LOADER_KEYS = ("quantization_config", "_name_or_path", "_model_name_or_path")


def cache_dir() -> Path:
    """Where converted models live: `$R1RAY_CACHE`, or `~/.cache/r1ray`."""
    return Path(os.environ.get("R1RAY_CACHE") or Path.home() / ".cache" / "r1ray").expanduser().resolve()


def gguf_in(folder: Path) -> Path | None:
    """The GGUF file that lies in a folder, the first by name; None if there is none."""
    return min(folder.glob("*.gguf"), default=None)


def converted_gguf(source: Path) -> Path:
    """The Hugging Face folder of a GGUF file, converted on first use.

    The folder is named after the file's hash and the converter's version and appears whole or not at all, so processes
    that convert at the same time do no harm.
    """
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    target = cache_dir() / "models" / f"{source.stem}-{digest[:16]}-v{CONVERTER_VERSION}"
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f"{source.name} is converted once into {target.parent}, which cannot be made: {error}. "
            f"Set R1RAY_CACHE to a folder that can be written."
        ) from error
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".converting-") as temporary:
        folder = Path(temporary) / "model"
        convert_gguf(source, folder)
        try:
            folder.rename(target)
        except OSError:  # another process was first, with the same bytes
            if not target.is_dir():
                raise
    return target


def convert_gguf(source: Path, folder: Path) -> None:
    """Write `source` as a float32 Hugging Face model with its tokenizer into `folder`.

    Raises:
        ModelError: the file is no GGUF, or of an architecture that transformers cannot read.
    """
    try:
        metadata = _metadata(source)
        with no_progress_bars():
            loaded = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
        tokenizer = gguf_tokenizer(source, metadata)
    except (ValueError, OSError, KeyError, NotImplementedError) as error:
        raise ModelError(
            f"{source} cannot be read as a GGUF causal language model: {error}. Give a GGUF of an architecture that "
            f"transformers converts (llama, qwen2, qwen3, mistral, …), or the model as a Hugging Face folder."
        ) from error

    # The loaded model refuses to be saved because its config calls it quantized: its weights go into a clean one.
    with torch.device("meta"):
        clean = AutoModelForCausalLM.from_config(_clean_config(loaded.config), dtype=torch.float32)
    clean.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    with no_progress_bars():
        clean.save_pretrained(folder, state_dict=loaded.state_dict())
    tokenizer.save_pretrained(folder)


def gguf_tokenizer(source: Path, metadata: dict[str, Any] | None = None) -> PreTrainedTokenizerFast:
    """The tokenizer that a GGUF file carries, with its special tokens and chat template set from the metadata."""
    metadata = _metadata(source) if metadata is None else metadata
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    if metadata.get("tokenizer.ggml.model") == "gpt2" and metadata.get("tokenizer.ggml.pre") == "smollm":
        tokenizer: Any = PreTrainedTokenizerFast(tokenizer_object=_smollm_bpe(tokens, metadata))
    else:
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    for role, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown")):
        index = metadata.get(f"tokenizer.ggml.{key}_token_id")
        if index is not None:
            setattr(tokenizer, f"{role}_token", tokens[index])
    if template := metadata.get("tokenizer.chat_template"):
        tokenizer.chat_template = template
    tokenizer.model_max_length = metadata.get(
        f"{metadata['general.architecture']}.context_length", tokenizer.model_max_length
    )
    tokenizer.clean_up_tokenization_spaces = False
    fast: PreTrainedTokenizerFast = tokenizer
    return fast


def _smollm_bpe(tokens: list[str], metadata: dict[str, Any]) -> Tokenizer:
    """SmolLM's byte-level BPE: every digit is a token of its own, which transformers' GGUF loader forgets.

    Without it the merges of the training corpus join digits, and the model meets numbers in a form it has rarely seen.
    """
    vocab = {token: index for index, token in enumerate(tokens)}
    merges = [tuple(merge.split(" ", 1)) for merge in metadata.get("tokenizer.ggml.merges", [])]
    tokenizer = Tokenizer(BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = metadata["tokenizer.ggml.token_type"]
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == TokenType.CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def _metadata(source: Path) -> dict[str, Any]:
    return {key: field.contents() for key, field in GGUFReader(source).fields.items()}


def _clean_config(config: Any) -> Any:
    """The config without what only the loader needed, and with float32 metadata rounded back to what was meant."""
    values = {key: value for key, value in config.to_dict().items() if key not in _LOADER_KEYS}
    return type(config).from_dict({key: _shortest_float(value) for key, value in values.items()})


def _shortest_float(value: Any) -> Any:
    return float(str(np.float32(value))) if isinstance(value, float) else value
