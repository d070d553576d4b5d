"""Which problems are reasoned about, and how they are split."""

from dataclasses import dataclass

from r1ray.config.base import require, require_range

AS_PARENT = "as-parent"
"""Instead of families: those of the run that made the policy. `jobs/quantize.py` alone knows it, and starts from it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProblemsConfig:
    """Training and held-out problems. The split is by the hash of the normalised question, so the two share none."""

    path: str = ""
    """JSONL or parquet file, folder, glob or URI, with `question` and `answer` (GSM8K's `####` form is understood);
    empty = generate from `families`."""
    heldout_path: str = ""
    """File of held-out problems; empty = split `path` or the generated problems."""
    families: tuple[str, ...] = ("chain:4",)
    """What is generated: `name:low-high` with the number of steps (`chain:3-4`, `story:2-3`, `shop:2-3`,
    `compare:1-2`), optionally with a wording (`story:2-3/plain` or `/varied`; both by default), or
    `reasoning-gym/<task>`."""
    count: int = 20_000
    """How many problems are generated before the split."""
    max_number: int = 12
    """Largest number that a generated problem gives."""
    heldout: int = 400
    """How many problems are held out and never trained on."""
    max_prompt_tokens: int = 512
    """Problems with longer prompts are quarantined, and counted."""
    system: str = "Solve step by step."
    """System line of the chat template."""
    curriculum: bool = True
    """Draw more often from the families and lengths that are solved sometimes, by the success measured so far; off =
    every problem once an epoch."""

    def __post_init__(self) -> None:
        require(
            bool(self.path or self.families),
            "problems.families",
            self.families,
            "a family, or problems.path set to a file",
        )
        require_range("problems.count", self.count, 1)
        require_range("problems.max_number", self.max_number, 2)
        require_range("problems.heldout", self.heldout, 1)
        require_range("problems.max_prompt_tokens", self.max_prompt_tokens, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ColdStartConfig:
    """A few worked solutions of *easier* problems before reinforcement, as DeepSeek-R1's recipe has it."""

    examples: int = 192
    """Worked examples seen; 0 = no cold start. Skipped when the policy is itself a run of r1ray."""
    families: tuple[str, ...] = ("chain:1-3/plain",)
    """Easier families than `problems.families`; mixed lengths, or there is nothing to reinforce. `/plain` keeps to one
    half of the wordings, so that reinforcement meets words that were never shown."""
    max_number: int = 9
    """Largest number that a worked example gives."""
    lr: float = 1e-4
    """Peak learning rate, cosine to zero."""
    batch: int = 16
    """Examples per optimizer step."""
    epochs: int = 1
    """Passes over the examples."""

    def __post_init__(self) -> None:
        require_range("cold_start.examples", self.examples, 0)
        require_range("cold_start.max_number", self.max_number, 2)
        require_range("cold_start.lr", self.lr, 0)
        require_range("cold_start.batch", self.batch, 1)
        require_range("cold_start.epochs", self.epochs, 1)
