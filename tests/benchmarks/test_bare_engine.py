"""The closed loop on an engine itself: every prompt is answered, and no more run at once than it says."""

from benchmarks._bare_engine import drive_engine
from benchmarks._load import Load
from r1ray.generation.iteration import EngineEvent, EngineRequest


class Counting:
    """One token a request and step."""

    def __init__(self) -> None:
        self.left: dict[str, int] = {}
        self.peak = 0

    @property
    def busy(self) -> bool:
        return bool(self.left)

    def add(self, request: EngineRequest) -> None:
        self.left[request.id] = request.params.max_new_tokens
        self.peak = max(self.peak, len(self.left))

    def step(self) -> list[EngineEvent]:
        events = []
        for name in list(self.left):
            self.left[name] -= 1
            over = not self.left[name]
            events.append(EngineEvent(id=name, token_ids=(1,), finish_reason="length" if over else None))
            if over:
                del self.left[name]
        return events


def test_all_are_answered_and_only_so_many_run():
    engine = Counting()
    result = drive_engine(engine, lambda text: {"input_ids": [1]}, Load(requests=10, streams=3, new_tokens=4))
    assert (engine.peak, result.answered, result.new_tokens, result.errors) == (3, 10, 40, {})
