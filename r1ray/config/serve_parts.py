"""What stands around a served model: the shared store, the cache, access, guardrails, canary, log and traces."""

from dataclasses import dataclass

from r1ray.config.base import require, require_choice, require_range

STORE_SCHEMES = ("redis://", "rediss://", "unix://")
CANARY_MODES = ("off", "split", "shadow")
PII_ACTIONS = ("off", "mask", "block")


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreConfig:
    """Where the replicas of a service keep what they share: limits, quotas and answers."""

    url: str = ""
    """`redis://host:6379/0`, `rediss://…` or `unix:///path`; empty = embedded in the service itself."""
    prefix: str = "r1ray:"
    """Of every key, so that services can share a Redis."""
    timeout_s: float = 0.25
    """Seconds after which a call counts as failed; the replica's own store then stands in."""
    cooldown_s: float = 5.0
    """Seconds that a store is left alone after it failed."""

    def __post_init__(self) -> None:
        require(
            not self.url or self.url.startswith(STORE_SCHEMES), "store.url", self.url, f"{', '.join(STORE_SCHEMES)} …"
        )
        require_range("store.timeout_s", self.timeout_s, 0.001)
        require_range("store.cooldown_s", self.cooldown_s, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheConfig:
    """Whole answers to equal requests: in the replica (level 1), and in a store that all replicas share (level 3)."""

    enabled: bool = True
    """Off = every request is computed. The engine's own prefix cache (level 2) does not depend on it."""
    mib: float = 64.0
    """Memory of a replica's answers; the least recently used go first. 0 = the shared level alone."""
    ttl_s: float = 3600.0
    """Seconds after which an answer is forgotten."""
    shared: bool = True
    """Whether answers are also looked up in and given to the shared store."""
    sampled: bool = False
    """Whether answers to requests that draw at random are remembered too. Off: only those with temperature 0 or a seed,
    and those that ask for it with `"cache": true`."""

    def __post_init__(self) -> None:
        require_range("cache.mib", self.mib, 0)
        require_range("cache.ttl_s", self.ttl_s, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessConfig:
    """Who may ask, how often, and how much."""

    keys: str = ""
    """File of API keys that `r1ray keys` writes; empty = everyone is let in under the name `anonymous`."""
    requests_per_minute: float = 0.0
    """Of one key, in all replicas together, kept by a token bucket; 0 = no limit. A key's own limits come first."""
    tokens_per_minute: float = 0.0
    """Prompt and new tokens of one key; 0 = no limit."""
    tokens_per_day: int = 0
    """Quota of one key, from midnight UTC; 0 = none."""
    concurrent: int = 0
    """Requests of one key in flight in one replica; 0 = no limit."""
    body_mib: float = 4.0
    """Largest request."""

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "tokens_per_minute", "tokens_per_day", "concurrent"):
            require_range(f"access.{name}", getattr(self, name), 0)
        require_range("access.body_mib", self.body_mib, 0.001)

    @property
    def counted(self) -> bool:
        """Whether requests may be counted over all replicas: keys can have limits of their own."""
        return bool(self.keys or self.requests_per_minute or self.tokens_per_minute or self.tokens_per_day)


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardConfig:
    """What is neither answered nor said."""

    input: bool = True
    """Whether requests are checked."""
    output: bool = True
    """Whether answers are, while they are written."""
    words: tuple[str, ...] = ()
    """Words and phrases that block, or files with one a line."""
    patterns: tuple[str, ...] = ()
    """Regular expressions that block, or files with one a line."""
    pii: str = "off"
    """Personal data in answers: `off`, `mask` (replaced by `<EMAIL_1>` …) or `block`."""
    pii_input: str = "off"
    """Personal data in requests: `off` or `block`."""
    pii_detectors: tuple[str, ...] = ("credit_card", "email", "iban", "ip", "national_id", "phone")
    """Which kinds count."""
    classifier: str = ""
    """A text classifier that blocks: `toxicity` (comes with r1ray), a `.npz` that training wrote, or a folder or id of
    a Hugging Face sequence classifier; empty = none."""
    classifier_replicas: int = 0
    """Most processes of its own that the classifier gets, where what comes together is one pass: for networks. 0 = it
    works in the process of the HTTP side."""
    labels: tuple[str, ...] = ("toxic",)
    """Its classes that block; their probabilities are added."""
    threshold: float = 0.8
    """Probability from which it blocks."""
    stride: int = 200
    """New characters of an answer after which the classifier looks again."""
    judge_url: str = ""
    """An OpenAI-compatible endpoint (`http://host/v1`) whose model judges requests; empty = none."""
    judge_model: str = ""
    """Name of that model."""
    judge_timeout_s: float = 10.0
    """Seconds that it has; a judge that is late or fails lets the request pass, and is counted."""

    def __post_init__(self) -> None:
        require_choice("guard.pii", self.pii, PII_ACTIONS)
        require_choice("guard.pii_input", self.pii_input, ("off", "block"))
        require(0 < self.threshold <= 1, "guard.threshold", self.threshold, "more than 0, at most 1")
        require_range("guard.stride", self.stride, 1)
        require_range("guard.classifier_replicas", self.classifier_replicas, 0)
        require(
            bool(self.judge_model) or not self.judge_url, "guard.judge_model", self.judge_model, "the judge's model"
        )
        require_range("guard.judge_timeout_s", self.judge_timeout_s, 0.01)


@dataclass(frozen=True, kw_only=True, slots=True)
class CanaryConfig:
    """A second version of the model, how much of the traffic it gets, and when the figures decide about it."""

    mode: str = "off"
    """`split`: a share of the users is answered by the canary; `shadow`: all are answered by the stable version, and
    the canary computes a share of the requests besides, unseen; `off`."""
    percent: float = 1.0
    """Share of users (`split`) or requests (`shadow`), in percent; can be changed while the service runs."""
    automatic: bool = True
    """Whether a decision takes effect by itself: a promoted canary answers everyone, one that was rolled back nobody.
    Off: it is only told."""
    salt: str = "r1ray"
    """Another salt puts other users into the canary's share."""
    alpha: float = 0.05
    """Most that the probability of promoting a version that is worse in any figure may be, however often one looks."""
    beta: float = 0.05
    """Most that the probability of rolling back a version that is worse in none may be."""
    minimum: int = 50
    """Least number of pairs before a decision."""
    maximum: int = 20000
    """Pairs without a decision after which the canary is rolled back: it is not shown to be good enough. 0 = never."""
    quality_margin: float = 0.02
    """Loss of the share of good answers that still counts as none."""
    latency_ratio: float = 1.2
    """A canary is too slow if it takes longer than this many times the stable version's time in more than half of the
    pairs."""
    kl_limit: float = 0.5
    """Most nats a token that the canary may be away from the stable version (shadow alone); 0 = not judged."""

    def __post_init__(self) -> None:
        require_choice("canary.mode", self.mode, CANARY_MODES)
        require_range("canary.percent", self.percent, 0, 100)
        for name in ("alpha", "beta"):
            require(0 < getattr(self, name) < 1, f"canary.{name}", getattr(self, name), "between 0 and 1")
        require_range("canary.minimum", self.minimum, 1)
        require_range("canary.maximum", self.maximum, 0)
        require(0 < self.quality_margin < 1, "canary.quality_margin", self.quality_margin, "between 0 and 1")
        require_range("canary.latency_ratio", self.latency_ratio, 1)
        require_range("canary.kl_limit", self.kl_limit, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestLogConfig:
    """What is written down of requests. Off by default; and then without what was said."""

    path: str = ""
    """Folder of the log: `<day>-<process>.jsonl`; empty = nothing is written."""
    prompts: bool = False
    """Whether prompts are written too, which makes the log a source of `jobs/corpus.py`."""
    answers: bool = False
    """Whether answers are."""
    mask: bool = True
    """Whether personal data in them is replaced first."""

    def __post_init__(self) -> None:
        require(bool(self.path) or not (self.prompts or self.answers), "request_log.path", self.path, "a folder")


@dataclass(frozen=True, kw_only=True, slots=True)
class TracingConfig:
    """OpenTelemetry traces. Needs the extra `r1ray[tracing]`."""

    endpoint: str = ""
    """OTLP/HTTP collector, `http://127.0.0.1:4318/v1/traces`; empty = no traces."""
    share: float = 1.0
    """Share of the requests that are traced; those whose client traces them always are."""

    def __post_init__(self) -> None:
        require_range("tracing.share", self.share, 0, 1)
