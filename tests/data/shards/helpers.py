"""Small corpora as shards."""

import random
from pathlib import Path
from typing import Any

from r1ray.config.shards import LoaderConfig, ShardsConfig
from r1ray.data.shards.writer import write_shards
from tests.tiny import make_tiny_tokenizer

TINY = ShardsConfig(max_tokens=64, pack_tokens=96, block_tokens=256, file_tokens=1024)
"""A few rows a block, a few blocks a file."""


def corpus(rows: int, seed: int = 0) -> list[dict[str, Any]]:
    """Documents and prompt/response rows of various lengths."""
    draw = random.Random(seed)

    def words(most: int) -> str:
        return "".join(draw.choices("abcdefgh 0123456789", k=draw.randint(1, most)))

    return [
        {"id": f"d{n}", "text": "x" + words(40)}
        if n % 3
        else {"id": f"c{n}", "prompt": "q" + words(8), "response": "a" + words(20)}
        for n in range(rows)
    ]


def make_shards(folder: Path, rows: int = 60, config: ShardsConfig = TINY) -> Path:
    """Shards of a small corpus, without chat template."""
    tokenizer = make_tiny_tokenizer()
    tokenizer.chat_template = None
    write_shards(corpus(rows), folder, tokenizer, config)
    return folder


def loader_config(cache: Path, **changes: Any) -> LoaderConfig:
    """Nothing stays in memory for being small."""
    return LoaderConfig(**{"batch": 7, "cache": str(cache), "small_bytes": 0, **changes})
