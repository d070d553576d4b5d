"""Models on disk in the Hugging Face layout, so that `from_pretrained` opens what r1ray trained."""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from r1ray.errors import CheckpointError
from r1ray.models.policy import Policy, policy_state_dict
from r1ray.models.quiet import no_progress_bars
from r1ray.models.trunk import base_model

ADAPTER = "adapter"
"""Subfolder with the adapters alone, beside the merged model."""


def save_policy(
    folder: Path,
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    state_dict: Mapping[str, Tensor] | None = None,
) -> dict[str, str]:
    """Write model, config, generation config and tokenizer to `folder`, which appears whole or not at all.

    An adapted model is saved merged, with the adapters alone under `adapter/`.

    Args:
        folder: where the model goes; replaced if it is there.
        model: a `Policy`, a peft model, or a Hugging Face model. A value head is not part of it.
        tokenizer: the policy's.
        state_dict: weights by their Hugging Face names, where `model` does not hold them itself (ZeRO-3 shards them);
            None = `policy_state_dict(model)`.

    Returns:
        SHA-256 of each file, by its path inside `folder`.
    """
    adapted = model.model if isinstance(model, Policy) else model
    base = base_model(adapted)
    weights = dict(policy_state_dict(adapted) if state_dict is None else state_dict)
    if base.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)  # the embedding, once more
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        fresh = Path(temporary) / "new"
        with no_progress_bars():
            base.save_pretrained(fresh, state_dict=weights)
            tokenizer.save_pretrained(fresh)
            if adapted is not base:
                adapted.save_pretrained(fresh / ADAPTER)  # type: ignore[operator]
        hashes = file_hashes(fresh)
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        fresh.rename(folder)
    return hashes


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under `folder`, by its path inside it."""
    hashes = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as handle:
            hashes[file.relative_to(folder).as_posix()] = hashlib.file_digest(handle, "sha256").hexdigest()
    return hashes


def verify_files(folder: Path, hashes: Mapping[str, str]) -> None:
    """Check a saved model against the hashes that were returned when it was written.

    Raises:
        CheckpointError: a file is missing or differs; files that are not in `hashes` are left alone.
    """
    found = file_hashes(folder)
    broken = [name for name, digest in hashes.items() if found.get(name) != digest]
    if broken:
        raise CheckpointError(
            f"{folder} is damaged: {', '.join(broken)} differ from what was written or are missing. "
            f"Use an earlier checkpoint, or train again."
        )
