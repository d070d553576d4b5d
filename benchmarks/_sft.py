"""What the SFT benchmarks share: rows of generated worked solutions, and a loop over them in this process."""

from r1ray.config.optim import OptimConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.sft import SFTConfig
from r1ray.data.encoding import TokenRow
from r1ray.data.generators.generate import generate
from r1ray.data.row_order import Position, RowOrder
from r1ray.data.sft_rows import read_sft_rows
from r1ray.metrics.reductions import Metric
from r1ray.models.loading import load_policy, load_tokenizer
from r1ray.models.policy import Policy
from r1ray.train.controls import LoopConfig
from r1ray.train.loop import SupervisedLoop, planned_steps
from r1ray.train.plain import TorchEngine
from r1ray.train.sft import SFTBatch, SFTObjective

SYSTEM = "Solve step by step."


def worked_rows(policy: str, families: tuple[str, ...], count: int) -> dict[str, TokenRow]:
    """Tokenised worked solutions of generated problems."""
    problems = generate(families, count=count + 1, max_number=12, seed=0)
    config = SFTConfig(examples=count, validation=1)
    rows = read_sft_rows(config, load_tokenizer(policy), seed=0, system=SYSTEM, problems=lambda: problems)
    return rows.train


def order_of(rows: dict[str, TokenRow]) -> RowOrder:
    """The order in which the loop sees them."""
    return RowOrder({name: len(row.token_ids) for name, row in rows.items()}, seed=0)


def batches(rows: dict[str, TokenRow], size: int) -> list[list[str]]:
    """The ids of one epoch, batch by batch."""
    order, at, found = order_of(rows), Position(), []
    while at.epoch == 0:
        ids, at = order.take(at, rows=size)
        found.append(ids)
    return found


def make_loop(
    policy: PolicyConfig, rows: dict[str, TokenRow], optim: OptimConfig, batch: int
) -> SupervisedLoop[SFTBatch]:
    """r1ray's loop on the plain engine: one process, no Ray, no DeepSpeed."""
    config = LoopConfig(seed=0, optim=optim, batch=batch)
    order = order_of(rows)
    model, _ = load_policy(policy)
    engine = TorchEngine(Policy(model), optim, total_steps=planned_steps(order, config))
    objective = SFTObjective(rows, tokens_per_microbatch=optim.tokens_per_microbatch, logits_chunk=optim.logits_chunk)
    return SupervisedLoop(engine, objective, order, config)


def one_step(loop: SupervisedLoop[SFTBatch]) -> dict[str, float]:
    """Make one step; returns its figures."""
    kept: dict[str, float] = {}

    def report(step: int, metrics: dict[str, Metric]) -> bool:
        kept.update({key: metric.value for key, metric in metrics.items()})
        return False

    loop.run(report)
    return kept
