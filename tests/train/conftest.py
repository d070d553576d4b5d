"""A tiny policy, examples to learn, and the process group that ZeRO asks for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch.distributed as dist

from r1ray.train.supervised import Example
from tests.tiny import make_tiny_policy, make_tiny_tokenizer


@pytest.fixture(scope="session")
def tiny_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random tiny policy's folder."""
    return make_tiny_policy(tmp_path_factory.mktemp("tiny") / "policy", layers=1, hidden=32)


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    """Twelve worked sums of different lengths."""
    tokenizer = make_tiny_tokenizer()
    sums = [(n, 3 * n + 5) for n in range(12)]
    return [
        Example(prompt_ids=tokenizer(f"{a} + {b}?\n").input_ids, response_ids=tokenizer(f"It is {a + b}").input_ids)
        for a, b in sums
    ]


@pytest.fixture(scope="session")
def one_rank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A process group of this process alone; one for all modules: DeepSpeed holds on to the first that it sees."""
    store = tmp_path_factory.mktemp("group") / "store"
    before = dict(os.environ)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
