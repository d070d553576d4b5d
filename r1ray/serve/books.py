"""What is written down of a request when it is over: metrics, the canary's books, the log, figures for the end."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from r1ray.serve.api.answers import Answer
from r1ray.serve.api.requests import ChatRequest
from r1ray.serve.call import Call
from r1ray.serve.canary.controller import Canary
from r1ray.serve.canary.outcomes import Outcome
from r1ray.serve.observe.metrics import ServeMetrics
from r1ray.serve.observe.request_log import RequestLog


@dataclass(slots=True)
class Figures:
    """Requests answered, how many of them failed, and how long the recent ones took."""

    requests: int = 0
    errors: int = 0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=10_000))

    def add(self, more: "Figures") -> None:
        """Those of another ingress, or of later requests."""
        self.requests += more.requests
        self.errors += more.errors
        self.seconds.extend(more.seconds)

    def summary(self) -> dict[str, Any]:
        """For the job's last line."""
        recent = sorted(self.seconds)
        p95 = round(1000 * recent[min(len(recent) - 1, int(0.95 * len(recent)))], 1) if recent else None
        return {"requests": self.requests, "errors": self.errors, "p95_ms": p95}


class Books:
    """The books of one service."""

    def __init__(self, metrics: ServeMetrics, canary: Canary, log: RequestLog) -> None:
        self._metrics, self._canary, self._log = metrics, canary, log
        self.figures = Figures()

    def take(self) -> Figures:
        """Those since the last time, for a book of several services."""
        taken, self.figures = self.figures, Figures()
        return taken

    def close(self, call: Call, answers: Sequence[Answer], error: str, *, model: str, on_trial: bool) -> None:
        """A request is over.

        Args:
            call: the request.
            answers: what was made of it.
            error: what ended it; empty = nothing did.
            model: name of the model that answered.
            on_trial: whether it counts for the canary.
        """
        seconds, used = time.monotonic() - call.started, call.used(answers)
        new, cached = used["completion_tokens"], used["prompt_tokens_details"]["cached_tokens"]
        computed = call.cache_level in ("off", "miss")
        if computed:
            self._metrics.tokens(used["prompt_tokens"], new, cached)
            self._metrics.cache("l2", cached > 0)
        if call.first_token_s is not None:
            self._metrics.first_token(call.first_token_s)
            longest = max(len(answer.tokens) for answer in answers)
            if longest > 1:
                self._metrics.time_per_token((seconds - call.first_token_s) / (longest - 1))
        failed = bool(error) and error != "disconnected"
        self.figures.add(Figures(1, int(failed), deque([seconds])))
        if error:
            self._metrics.error(error)
        if on_trial and computed and not call.choice.shadow and error != "disconnected":
            self._canary.record(
                Outcome(
                    version=call.choice.version,
                    request_id=call.id,
                    ok=not error and not call.guard_rule,
                    ttft_s=call.first_token_s or 0.0,
                    seconds=seconds,
                    tokens=new,
                )
            )
        request = call.request
        record: dict[str, Any] = {
            "request_id": call.id,
            "time": time.time(),
            "key_id": call.principal.key_id,
            "tenant": call.principal.tenant,
            "model": model,
            "version": call.choice.version,
            "path": call.path,
            "status": call.status if not error else 499 if error == "disconnected" else 500,
            "finish_reason": answers[0].finish_reason,
            "usage": used,
            "ttft_ms": None if call.first_token_s is None else round(1000 * call.first_token_s, 1),
            "ms": round(1000 * seconds, 1),
            "cache": call.cache_level,
            "guard": call.guard_rule,
            "answer": answers[0].text,
        }
        if isinstance(request, ChatRequest):
            record["messages"] = [message.model_dump(exclude_none=True) for message in request.messages]
        else:
            record["prompt"] = call.text
        self._log.write(record)
