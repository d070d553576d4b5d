"""What each process of the data-parallel test runs. Apart from the test, so that processes import no pytest."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist

from r1ray.config.jobs import PPOJobConfig
from r1ray.config.optim import ZeroConfig
from r1ray.rl.learner import Learner
from r1ray.rl.networks import build_reference
from r1ray.train.zero import ZeroEngine
from r1ray.types import ScoredRollout
from tests.rl.helpers import networks


@dataclass(frozen=True)
class Case:
    """One update on two ranks."""

    name: str
    config: PPOJobConfig
    stage: int
    shares: tuple[list[ScoredRollout], list[ScoredRollout]]


def run_rank(rank: int, cases: list[Case], folder: str) -> None:
    """Do every case as one of two ranks; leave `<name>-<rank>.pkl` with metrics, and the weights after the update."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    for case in cases:
        engine = ZeroEngine(
            networks(case.config),
            case.config.optim,
            ZeroConfig(stage=case.stage),
            dtype=case.config.policy.dtype,
            total_steps=100,
            head_lr=case.config.critic.lr,
        )
        learner = Learner(engine, build_reference(case.config, case.config.policy.path), case.config)
        metrics = learner.update(case.shares[rank])
        published = learner.publish()
        weights = {} if published is None else {name: t.clone() for name, t in published.tensors().items()}
        (Path(folder) / f"{case.name}-{rank}.pkl").write_bytes(pickle.dumps((metrics, learner.state_dict(), weights)))
    dist.barrier()
    dist.destroy_process_group()
