"""What r1ray adds to vLLM's workers: vLLM mixes the class into its own (`worker_extension_cls`)."""

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from r1ray.errors import ModelError
from r1ray.models.stored import stored_tensors


class WorkerExtension:
    """Methods for `collective_rpc`."""

    reload_weights: Callable[..., None]

    def end_with(self, owner: int) -> int:
        """End this process when process `owner`, of this machine, has ended, however it did. Gives this one's id.

        vLLM's core would outlive an engine replica that was killed, and keep its memory from the next.
        """
        when_ended(owner, lambda: os.kill(os.getpid(), signal.SIGKILL))
        return os.getpid()

    def take_folder(self, folder: str, aliases: Mapping[str, str]) -> None:
        """New weights in place, from a Hugging Face folder's files.

        A tied head goes along under its own name: on a CPU vLLM keeps a prepacked copy of it, which stays old
        otherwise, and nothing says so.
        """
        self.reload_weights(weights_iterator=_with_aliases(Path(folder), aliases))


def when_ended(process: int, do: Callable[[], Any]) -> None:
    """Call `do` from a thread once a process has ended."""
    descriptor = os.pidfd_open(process)

    def wait() -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll()
        os.close(descriptor)
        do()

    threading.Thread(target=wait, name=f"end of {process}", daemon=True).start()


def shapes_in(folder: Path) -> dict[str, tuple[int, ...]]:
    """Of every tensor in a folder's files, by name. Raises `ModelError` if it has none."""
    found = {name: tuple(file.get_slice(name).get_shape()) for name, file in stored_tensors(folder)}
    if not found:
        raise ModelError(f"{folder} has no *.safetensors files, and vLLM is given no others.")
    return found


def _with_aliases(folder: Path, aliases: Mapping[str, str]) -> Iterator[tuple[str, Tensor]]:
    second_names = {name: alias for alias, name in aliases.items()}
    for name, file in stored_tensors(folder):
        if name in aliases:
            continue
        yield name, (tensor := file.get_tensor(name))
        if name in second_names:
            yield second_names[name], tensor
