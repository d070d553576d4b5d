"""Latency of batches from the tiered loader against plain reads of the same rows in the same order, cold and warm.

    OMP_NUM_THREADS=1 python benchmarks/tiered_loader.py

Two places: a local folder (in the page cache of the operating system: its best case), and the same folder behind a
stated delay for each request and a stated bandwidth, as an object store has them. Two orders: rows shuffled over all
blocks, and within windows of eight. Plain reads take the blocks of a batch one after the other (`plain`) or four at a
time (`threads`), each block once a batch, and keep nothing. `cold` begins with empty tiers; `warm` once they are full:
after as many batches again where rows are shuffled over all blocks, in the next epoch where there are windows.
Between batches the reader computes for `--compute` seconds, during which only a loader that fetches ahead gets on;
`rushed` is warm too, but the reader asks at once, so that only what the tiers save counts. The last line is one JSON
object; its value is the ratio of the medians, plain over warm, in the store, rows shuffled.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report
from r1ray.config.shards import LoaderConfig, ShardsConfig
from r1ray.data.shards.loader import ShardLoader
from r1ray.data.shards.source import ShardSource
from r1ray.data.shards.writer import write_shards

TARGET = 5.0
WINDOW = 8


class Store(LocalFileSystem):  # type: ignore[misc]
    """A local folder that answers as an object store does."""

    cachable = False

    def __init__(self, delay: float, bandwidth: float) -> None:
        super().__init__()
        self._delay, self._bandwidth = delay, bandwidth

    def cat_file(self, path: str, start: Any = None, end: Any = None, **_: Any) -> bytes:
        """One request."""
        content: bytes = super().cat_file(path, start=start, end=end)
        time.sleep(self._delay + len(content) / self._bandwidth)
        return content


class Words:
    """A tokenizer whose text is its token numbers."""

    chat_template = None
    eos_token = "<end>"
    eos_token_id = 0

    def apply_chat_template(self, conversation: Any, **_: Any) -> str:
        raise NotImplementedError

    def encode(self, text: str, **_: Any) -> list[int]:
        return list(map(int, text.split()))

    def get_vocab(self) -> dict[str, int]:
        return {"<end>": 0}


def main() -> None:
    args = _arguments()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        shards = Path(folder) / "shards"
        manifest = write_shards(_rows(args.tokens), shards, Words(), ShardsConfig(max_tokens=1024))
        print(f"{manifest.counts}, {sum(file.nbytes for file in manifest.files) / 2**20:.1f} MiB on disk")
        places = {"disk": LocalFileSystem(), "store": Store(args.delay, args.bandwidth)}
        for place, filesystem in places.items():
            for order, window in (("shuffled", 0), ("windows", WINDOW)):
                source = ShardSource(str(shards), filesystem=filesystem)
                found = _measure(source, window, Path(folder), args)
                figures[f"{place}_{order}"] = found
                print(f"{place:6} {order:9}", *(f"{name} {value}" for name, value in found.items()), sep="  ")
    best = figures["store_shuffled"]
    report(
        "tiered_loader",
        best["plain_ms"] / best["warm_ms"],
        "times the median batch latency, plain reads / warm tiers, object store, rows shuffled",
        TARGET,
        args.repeats,
        delay_ms=1000 * args.delay,
        bandwidth_mb_s=args.bandwidth / 1e6,
        compute_ms=1000 * args.compute,
        batches=args.batches,
        **figures,
    )


def _measure(source: ShardSource, window: int, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Median milliseconds a batch, and where warm batches came from."""
    seconds: dict[str, list[float]] = {"plain": [], "threads": [], "cold": [], "warm": [], "rushed": []}
    shares: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
    bare = LoaderConfig(
        window_blocks=window, small_bytes=0, memory_share=0, disk_share=0, prefetch=0, threads=1, batch=args.batch
    )
    for repeat in range(args.repeats):
        seconds["plain"] += _times(iter(ShardLoader(source, bare)), args)
        seconds["threads"] += _times(iter(ShardLoader(source, replace(bare, threads=4))), args)
        cache = folder / f"cache-{repeat}"
        config = LoaderConfig(window_blocks=window, small_bytes=0, batch=args.batch, cache=str(cache))
        loader = ShardLoader(source, config, epochs=3)
        batches = iter(loader)
        fill = loader.items_per_epoch // args.batch - args.batches if window else args.batches
        seconds["cold"] += _times(batches, args)
        shares["cold"].append(loader.figures())
        for _ in islice(batches, fill):
            pass
        before = loader.figures()
        seconds["warm"] += _times(batches, args)
        shares["warm"].append({key: value - before[key] for key, value in loader.figures().items()})
        seconds["rushed"] += _times(batches, args, compute=0)
        batches.close()  # type: ignore[attr-defined]
    return {
        **{f"{name}_ms": round(1000 * statistics.median(values), 2) for name, values in seconds.items()},
        **{f"{name}_mean_ms": round(1000 * statistics.mean(values), 2) for name, values in seconds.items()},
        **{
            f"{name}_p95_ms": round(1000 * statistics.quantiles(values, n=20)[-1], 2)
            for name, values in seconds.items()
        },
        **{f"{name}_hits": _hit_rates(found) for name, found in shares.items()},
    }


def _times(batches: Iterator[Any], args: argparse.Namespace, compute: float | None = None) -> list[float]:
    """Seconds that each batch lets the reader wait."""
    seconds = []
    for _ in range(args.batches):
        start = time.perf_counter()
        next(batches)
        seconds.append(time.perf_counter() - start)
        time.sleep(args.compute if compute is None else compute)
    return seconds


def _hit_rates(found: list[dict[str, float]]) -> dict[str, float]:
    counts = {tier: sum(figures[f"data/{tier}_hits"] for figures in found) for tier in ("memory", "disk", "source")}
    return {tier: round(count / sum(counts.values()), 3) for tier, count in counts.items()}


def _rows(tokens: int) -> Iterator[dict[str, str]]:
    """Documents of 32 to 1000 tokens, numbers by Zipf's law."""
    draw = random.Random(0)
    vocabulary = [str(number) for number in range(1, 49_000)]
    cumulative, total = [], 0.0
    for rank in range(len(vocabulary)):
        total += 1 / (rank + 3)
        cumulative.append(total)
    number = 0
    while tokens > 0:
        length = int(32 * 31 ** draw.random())
        yield {"id": str(number), "text": " ".join(draw.choices(vocabulary, cum_weights=cumulative, k=length))}
        tokens -= length
        number += 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tokens", type=int, default=2_000_000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--batches", type=int, default=20, help="measured in each phase")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--delay", type=float, default=0.02, help="seconds for each request to the store")
    parser.add_argument("--bandwidth", type=float, default=100e6, help="bytes a second of each request")
    parser.add_argument("--compute", type=float, default=0.05, help="seconds between two batches")
    parser.add_argument(
        "--folder", default=None, help="where shards and cache are written; default: the temporary folder"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
