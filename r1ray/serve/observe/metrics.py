"""Prometheus metrics of a replica. Names follow Prometheus' conventions: seconds, totals, one prefix."""

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from r1ray.serve.observe.pages import Page

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PATHS = frozenset(
    {"/v1/chat/completions", "/v1/completions", "/v1/models", "/tokenize", "/detokenize", "/health", "/metrics"}
)
"""Others are counted as `other`: whoever asks for ten thousand paths must not make as many series."""
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0)


class ServeMetrics:
    """One registry an object, so that several can live in a process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "r1ray_serve_requests", "Requests answered, by path and status.", ["path", "status"], registry=registry
        )
        self._seconds = Histogram(
            "r1ray_serve_request_seconds", "From request to the last byte.", ["path"], buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._first = Histogram(
            "r1ray_serve_time_to_first_token_seconds", "From request to the first token.", buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._per_token = Histogram(
            "r1ray_serve_time_per_token_seconds", "Between the tokens of an answer, on average.",
            buckets=_TOKEN_SECONDS, registry=registry,
        )  # fmt: skip
        self._tokens = Counter("r1ray_serve_tokens", "Tokens, by kind.", ["kind"], registry=registry)
        self._queue = Gauge("r1ray_serve_queue", "Waiting, requests or tokens.", ["unit"], registry=registry)
        self._batch = Gauge("r1ray_serve_batch_rows", "Sequences in the last step of the engine.", registry=registry)
        self._kv = Gauge("r1ray_serve_kv_usage", "Share of the KV cache that is in use.", registry=registry)
        self._cache = Counter(
            "r1ray_serve_cache_lookups", "Look-ups, by level (l1, l2, l3, flight) and result.", ["level", "result"],
            registry=registry,
        )  # fmt: skip
        self._errors = Counter("r1ray_serve_errors", "Errors, by kind.", ["kind"], registry=registry)
        self._guard = Counter("r1ray_serve_blocked", "Blocked, by rule and side.", ["rule", "side"], registry=registry)
        self._versions = Counter(
            "r1ray_serve_version_requests", "Requests, by version.", ["version"], registry=registry
        )
        self._canary = Gauge("r1ray_serve_canary_percent", "Share of the canary.", registry=registry)

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request was answered, its stream included."""
        known = path if path in PATHS else "other"
        self._requests.labels(known, str(status)).inc()
        self._seconds.labels(known).observe(seconds)

    def first_token(self, seconds: float) -> None:
        """The first token of an answer was sent."""
        self._first.observe(seconds)

    def time_per_token(self, seconds: float) -> None:
        """Mean time between the tokens of one answer."""
        self._per_token.observe(seconds)

    def tokens(self, prompt: int, new: int, cached: int) -> None:
        """Of one request; `cached` is the part of the prompt that the engine had. Tokens/s is the rate of `new`."""
        for kind, count in (("prompt", prompt), ("new", new), ("cached", cached)):
            self._tokens.labels(kind).inc(count)

    def queue(self, requests: int, tokens: int) -> None:
        """What waits for the engine now."""
        self._queue.labels("requests").set(requests)
        self._queue.labels("tokens").set(tokens)

    def batch(self, rows: int) -> None:
        """Sequences that the engine works on now."""
        self._batch.set(rows)

    def kv(self, fraction: float) -> None:
        """Use of the KV cache now."""
        self._kv.set(fraction)

    def cache(self, level: Literal["l1", "l2", "l3", "flight"], hit: bool) -> None:
        """One look-up at one level."""
        self._cache.labels(level, "hit" if hit else "miss").inc()

    def answer_cache(self, level: str) -> None:
        """A claim on the answer cache, by where it was found: the levels before that were missed."""
        order = ("l1", "flight", "l3")
        if level in order:
            self.cache(level, True)  # type: ignore[arg-type]
        if level != "off":
            for missed in order[: order.index(level)] if level in order else ("l1", "l3"):
                if missed != "flight":
                    self.cache(missed, False)  # type: ignore[arg-type]

    def error(self, kind: str) -> None:
        """A request failed: `overloaded`, `rate_limited`, `invalid_request`, `engine`, `disconnected` …"""
        self._errors.labels(kind).inc()

    def blocked(self, rule: str, side: Literal["input", "output"]) -> None:
        """The guard stopped something."""
        self._guard.labels(rule, side).inc()

    def version(self, name: str) -> None:
        """A version was chosen for a request."""
        self._versions.labels(name).inc()

    def canary(self, percent: float) -> None:
        """Share of the canary now."""
        self._canary.set(percent)

    def render(self) -> bytes:
        """For `/metrics`."""
        return generate_latest(self.registry)

    def page(self) -> Page:
        """To be joined with others'."""
        return list(self.registry.collect())
