"""The size of a model from the headers of its files, without loading it."""

import json
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelShape:
    """What the memory of a decoder-only transformer follows from."""

    params: int
    layers: int
    hidden: int
    """Width of the residual stream."""
    intermediate: int
    """Width of the feed-forward layer."""
    query_width: int
    """Attention heads × head size."""
    kv_width: int
    """Key-value heads × head size."""
    vocab: int

    def adapter_params(self, rank: int, targets: Iterable[str]) -> int:
        """Weights of rank-`rank` adapters on the named linear layers."""
        widths = {
            "q_proj": self.hidden + self.query_width,
            "k_proj": self.hidden + self.kv_width,
            "v_proj": self.hidden + self.kv_width,
            "o_proj": self.query_width + self.hidden,
            "gate_proj": self.hidden + self.intermediate,
            "up_proj": self.hidden + self.intermediate,
            "down_proj": self.intermediate + self.hidden,
        }
        return self.layers * rank * sum(widths.get(target, 2 * self.hidden) for target in targets)


SMOLLM2_135M = ModelShape(
    params=134_515_008, layers=30, hidden=576, intermediate=1536, query_width=576, kv_width=192, vocab=49_152
)
KNOWN = {"smollm2-135m": SMOLLM2_135M, "HuggingFaceTB/SmolLM2-135M-Instruct": SMOLLM2_135M}


def model_shape(path: str) -> ModelShape | None:
    """The shape of an alias, a Hugging Face folder, a run folder (its `model/`) or a GGUF file; None: nothing says."""
    if path in KNOWN:
        return KNOWN[path]
    here = Path(path).expanduser()
    if here.is_file() and here.suffix == ".gguf":
        return _from_gguf(here)
    for folder in (here / "model", here):
        if (folder / "config.json").is_file():
            return _from_folder(folder)
    return None


def _from_folder(folder: Path) -> ModelShape | None:
    config = json.loads((folder / "config.json").read_text())
    shape = _from_config(config)
    stored = sum(_safetensors_params(file) for file in folder.glob("*.safetensors"))
    if shape is None or not stored:
        return shape
    return ModelShape(**{**{name: getattr(shape, name) for name in ModelShape.__dataclass_fields__}, "params": stored})


def _from_config(config: Mapping[str, Any]) -> ModelShape | None:
    """Llama-like geometry: embeddings, attention, a gated feed-forward layer; biases are too small to matter."""
    try:
        hidden, layers, vocab = config["hidden_size"], config["num_hidden_layers"], config["vocab_size"]
        intermediate, heads = config["intermediate_size"], config["num_attention_heads"]
    except KeyError:
        return None
    head = config.get("head_dim") or hidden // heads
    query, kv = heads * head, (config.get("num_key_value_heads") or heads) * head
    block = hidden * (2 * query + 2 * kv) + 3 * hidden * intermediate + 2 * hidden
    embeddings = vocab * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return ModelShape(
        params=layers * block + embeddings + hidden,
        layers=layers,
        hidden=hidden,
        intermediate=intermediate,
        query_width=query,
        kv_width=kv,
        vocab=vocab,
    )


def _safetensors_params(file: Path) -> int:
    """Number of values in a safetensors file, from its header: eight bytes of length, then JSON."""
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")


def _from_gguf(file: Path) -> ModelShape | None:
    from gguf import GGUFReader  # only here: most models are no GGUF

    reader = GGUFReader(str(file))
    fields = {key.partition(".")[2]: field.contents() for key, field in reader.fields.items() if "." in key}
    config = {
        "hidden_size": fields.get("embedding_length"),
        "num_hidden_layers": fields.get("block_count"),
        "intermediate_size": fields.get("feed_forward_length"),
        "num_attention_heads": fields.get("attention.head_count"),
        "num_key_value_heads": fields.get("attention.head_count_kv"),
        "vocab_size": next((int(t.shape[-1]) for t in reader.tensors if t.name == "token_embd.weight"), None),
        "tie_word_embeddings": all(t.name != "output.weight" for t in reader.tensors),
    }
    return None if None in config.values() else _from_config(config)
