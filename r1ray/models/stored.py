"""The tensors in a model folder's files, without loading them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import safe_open


def stored_tensors(folder: Path) -> Iterator[tuple[str, Any]]:
    """Each tensor's name and the open file that has it: its `get_slice(name)` knows shape and dtype, its
    `get_tensor(name)` reads it. A file is closed when the next one is asked for."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  # it is no mapping
                yield name, file
