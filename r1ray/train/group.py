"""The ranks of one run, as each of them sees the others: figures put together, checkpoints that all write, one decision
to stop."""

from collections.abc import Callable
from typing import Any

import torch.distributed as dist

from r1ray.metrics.reductions import Last, Metric, merge_all
from r1ray.runs import Run
from r1ray.train.engine import TrainEngine
from r1ray.train.listener import Listener, Nobody
from r1ray.train.loop import SupervisedLoop


class RankGroup:
    """One rank's view. Every rank must make the same calls in the same order."""

    def __init__(self, run: Run, listener: Listener, meet: Callable[[], None], *, rank: int, world_size: int) -> None:
        """
        Args:
            run: whose checkpoints the ranks write.
            listener: told what happens, by rank 0 alone.
            meet: waits until every rank is here, however long that takes.
        """
        self.run, self.meet, self.rank, self.world_size = run, meet, rank, world_size
        self.listener: Listener = listener if rank == 0 else Nobody()

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which does what is done once."""
        return self.rank == 0

    def merged(self, metrics: dict[str, Metric]) -> dict[str, Metric]:
        """Every rank's figures together; the clock is rank 0's, since the others' show how long they waited for it."""
        if self.world_size == 1:
            return metrics
        mine = {
            key: metric
            for key, metric in metrics.items()
            if self.leads or not (isinstance(metric, Last) or key.startswith("time/"))
        }
        everyone: list[Any] = [None] * self.world_size
        dist.all_gather_object(everyone, mine)
        return merge_all(everyone)

    def told_to_stop(self, kind: str, payload: Any) -> bool:
        """Tell the listener, and learn, on every rank alike, whether the run should stop."""
        said = [self.listener.ask(kind, payload)]
        if self.world_size > 1:
            dist.broadcast_object_list(said, src=0)
        return bool(said[0])

    def newest_checkpoint(self) -> Any:
        """The newest that is whole, or None; what was wrong with others is noted."""
        return self.run.checkpoints.latest(lambda text: self.listener.post("note", text))

    def checkpoint(self, step: int, engine: TrainEngine, state: Callable[[], dict[str, Any]]) -> None:
        """Write what `engine` knows, each rank its part, and what `state` says on rank 0."""
        checkpoints = self.run.checkpoints
        if self.leads:
            checkpoints.begin(step)
        self.meet()
        engine.save(checkpoints.pending(step))
        self.meet()
        if self.leads:
            checkpoints.commit(step, state())
        self.meet()

    def resume(self, engine: TrainEngine, loop: SupervisedLoop[Any]) -> None:
        """Take a supervised loop to the newest checkpoint, if there is one."""
        checkpoint = self.newest_checkpoint()
        if checkpoint is not None:
            engine.load(checkpoint.path)
            loop.load_state_dict(checkpoint.info["loop"])
            self.listener.post("note", f"Resumed at step {loop.step} of {loop.total_steps}.")
        self.listener.post("resumed", loop.step)

    def checkpoint_loop(self, step: int, engine: TrainEngine, loop: SupervisedLoop[Any]) -> None:
        """A checkpoint of a supervised loop."""
        self.checkpoint(step, engine, lambda: {"loop": loop.state_dict()})
