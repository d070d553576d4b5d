"""How a corpus becomes shards of token ids, and how shards are read while a model trains."""

from dataclasses import dataclass

from r1ray.config.base import require_choice, require_range

COMPRESSIONS = ("zstd", "snappy", "none")
TURNS = ("last", "all")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardsConfig:
    """Token rows, sorted by length into packs and blocks, in parquet files."""

    max_tokens: int = 1024
    """Longest row, in tokens. Longer conversations lose their end, longer documents go on in further rows."""
    turns: str = "last"
    """What is learned of a conversation: the `last` answer, or `all` that the assistant says."""
    pack_tokens: int = 2048
    """Tokens of a pack: rows that fit into one micro-batch together (optim.tokens_per_microbatch)."""
    block_tokens: int = 65_536
    """Tokens of a block, which is what is read, verified and cached at once: a parquet row group of about a quarter of
    a megabyte."""
    file_tokens: int = 16_777_216
    """Tokens of a file; large files, since object stores and version control are slow with many small ones."""
    compression: str = "zstd"
    """Of the parquet pages: zstd, snappy or none."""

    def __post_init__(self) -> None:
        require_range("shards.max_tokens", self.max_tokens, 2)
        require_choice("shards.turns", self.turns, TURNS)
        require_range("shards.pack_tokens", self.pack_tokens, self.max_tokens)
        require_range("shards.block_tokens", self.block_tokens, self.pack_tokens)
        require_range("shards.file_tokens", self.file_tokens, self.block_tokens)
        require_choice("shards.compression", self.compression, COMPRESSIONS)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoaderConfig:
    """Which rows a step reads, and where what was read is kept."""

    batch: int = 32
    """Rows (or packs) of one optimizer step, all ranks together."""
    unit: str = "row"
    """What is drawn: single rows, or whole packs, which fill the trainer's micro-batches as they are."""
    seed: int = 0
    """Of the order."""
    window_blocks: int = 0
    """Blocks whose rows are shuffled with each other, after the blocks were; 0 = all. A small window reads each block
    once an epoch, and suits remote storage; all of them give the same order as shuffling rows."""
    prefetch: int = 4
    """Batches that are fetched ahead, in the background; 0 = none."""
    threads: int = 4
    """Threads that fetch blocks."""
    memory_share: float = 0.1
    """Share of the shards that may stay in memory, decoded: the blocks that are needed soonest; 0 = none."""
    disk_share: float = 0.3
    """Share of the shards that may lie in the cache folder: the blocks that are needed next after those; 0 = none."""
    small_bytes: int = 64 * 2**20
    """Shards of no more than this in all stay in memory whole, whatever the shares say; 0 = never."""
    memory_bytes: int = 2 * 2**30
    """Upper bound of what stays in memory, in bytes, however large the shards are."""
    disk_bytes: int = 50 * 2**30
    """Upper bound of the cache folder of one rank, in bytes."""
    cache: str = ""
    """Folder on a local disk for the second tier; empty = below R1RAY_CACHE or ~/.cache/r1ray."""

    def __post_init__(self) -> None:
        require_range("loader.batch", self.batch, 1)
        require_choice("loader.unit", self.unit, ("row", "pack"))
        for name in ("window_blocks", "prefetch", "small_bytes", "memory_bytes", "disk_bytes"):
            require_range(f"loader.{name}", getattr(self, name), 0)
        require_range("loader.threads", self.threads, 1)
        require_range("loader.memory_share", self.memory_share, 0, 1)
        require_range("loader.disk_share", self.disk_share, 0, 1)
