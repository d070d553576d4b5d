"""What a folder holds, told without loading it."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from r1ray.models.stored import stored_tensors


def test_tensors_of_all_files_are_named_once_each(tmp_path: Path) -> None:
    parts = {"b": {"y": torch.ones(2, 3)}, "a": {"x": torch.zeros(4), "scale": torch.tensor(2.0)}}
    for name, tensors in parts.items():
        save_file(tensors, tmp_path / f"{name}.safetensors")
    shapes = {name: tuple(file.get_slice(name).get_shape()) for name, file in stored_tensors(tmp_path)}
    assert shapes == {"x": (4,), "scale": (), "y": (2, 3)} and list(shapes)[-1] == "y", "files in order"
    assert all(
        torch.equal(file.get_tensor(name), (parts["a"] | parts["b"])[name]) for name, file in stored_tensors(tmp_path)
    )
    assert not list(stored_tensors(tmp_path / "nothing"))
