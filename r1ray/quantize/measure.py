"""What a model takes, and what it says, in a fresh process."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from r1ray.errors import ModelError

SCRIPT = Path(__file__).with_name("fresh.py")


def measure(
    model: Path,
    prompts: Sequence[Sequence[int]],
    *,
    tokens: int,
    end: Sequence[int],
    device: str = "cpu",
    dtype: str = "float32",
    threads: int = 0,
) -> dict[str, Any]:
    """`resident` (bytes), `tokens_per_s` and `token_ids` of each continuation.

    Args:
        model: a Hugging Face folder, or a GGUF file.
        prompts: token ids; each is answered by itself.
        tokens: most tokens of an answer.
        end: ids that end one.
        device: `cpu` or `cuda`.
        dtype: that the model computes in.
        threads: of the child; 0 = as torch has it.

    Raises:
        ModelError: the process failed; its last words are in the message.
    """
    folder, file = (model.parent, model.name) if model.suffix == ".gguf" else (model, "")
    request = {
        "model": str(folder),
        "file": file,
        "prompts": [list(prompt) for prompt in prompts],
        "tokens": tokens,
        "end": list(end),
        "device": device,
        "dtype": dtype,
        "threads": threads,
    }
    # -P: the script's own folder is no place to import from.
    command = [sys.executable, "-P", str(SCRIPT)]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ModelError(f"A fresh process cannot load {model}: {done.stderr.strip()[-800:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
