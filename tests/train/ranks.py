"""What each process of the two-rank tests runs. Apart from the tests, so that processes import no pytest."""

import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from r1ray.config.optim import ZeroConfig
from r1ray.config.policy import PolicyConfig
from r1ray.data.encoding import TokenRow
from r1ray.data.row_order import RowOrder
from r1ray.metrics.reductions import Metric
from r1ray.models.loading import load_policy
from r1ray.models.policy import Policy
from r1ray.train.controls import LoopConfig
from r1ray.train.engine import TrainEngine
from r1ray.train.loop import SupervisedLoop, planned_steps
from r1ray.train.sft import SFTBatch, SFTObjective
from r1ray.train.zero import ZeroEngine

Figures = list[dict[str, float]]


@dataclass(frozen=True)
class Case:
    """One run of a loop, or a part of it."""

    name: str
    stage: int
    config: LoopConfig
    checkpoint: str = ""
    """Folder to go on from; empty = the beginning."""
    state: Any = None
    """The loop's state that goes with it; or the name of the case of the same processes that left it."""
    steps: int = 0
    """Stop, and save to `<name>` in the folder, after so many; 0 = go to the end."""
    sequence: int = 1
    """Ranks that share each row's tokens."""
    tensor: int = 1
    """Ranks that share each matrix."""


def make_loop(
    policy: str, rows: dict[str, TokenRow], case: Case, engine: Any = None
) -> tuple[SupervisedLoop[SFTBatch], TrainEngine]:
    """A loop over ZeRO, or over the engine that is given."""
    config = replace(case.config, ranks_a_row=case.sequence * case.tensor, copies=case.tensor)
    order = RowOrder({name: len(row.token_ids) for name, row in rows.items()}, config.seed)
    model, _ = load_policy(PolicyConfig(path=policy))
    total = planned_steps(order, config)
    if engine is None:
        zero = ZeroConfig(stage=case.stage)
        shares: dict[str, Any] = {"sequence": case.sequence, "tensor": case.tensor}
        made: Any = ZeroEngine(Policy(model), config.optim, zero, total_steps=total, **shares)
    else:
        made = engine(Policy(model), config.optim, total_steps=total)
    budget, share = config.optim.tokens_per_microbatch, (made.rank % case.sequence, case.sequence)
    objective = SFTObjective(rows, tokens_per_microbatch=budget, logits_chunk=64, share=share)
    return SupervisedLoop(made, objective, order, config), made


def run_case(
    policy: str, rows: dict[str, TokenRow], case: Case, folder: Path, engine: Any = None
) -> tuple[Figures, Any]:
    """Figures of each step, and the loop's state after the last."""
    loop, made = make_loop(policy, rows, case, engine)
    if case.checkpoint:
        made.load(Path(case.checkpoint))
        loop.load_state_dict(case.state)
    figures: Figures = []

    def report(step: int, metrics: dict[str, Metric]) -> bool:
        figures.append({key: metric.value for key, metric in metrics.items() if not key.startswith("time/")})
        return len(figures) != case.steps

    loop.run(report)
    if case.steps:
        (folder / case.name).mkdir(exist_ok=True)
        if made.world_size > 1:
            dist.barrier()
        made.save(folder / case.name)
    return figures, loop.state_dict()


def run_rank(rank: int, policy: str, rows: dict[str, TokenRow], cases: list[Case], folder: str) -> None:
    """Do every case as one of two ranks; rank 0 leaves `<name>.pkl`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    states: dict[str, Any] = {}
    for case in cases:
        state = states[case.state] if isinstance(case.state, str) else case.state
        found = run_case(policy, rows, replace(case, state=state), Path(folder))
        states[case.name] = found[1]
        if rank == 0:
            (Path(folder) / f"{case.name}.pkl").write_bytes(pickle.dumps(found))
    dist.barrier()
    dist.destroy_process_group()
