"""How a model is served: the engine, the HTTP side, scaling."""

from dataclasses import dataclass

from r1ray.config.base import require, require_choice, require_range


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeEngineConfig:
    """What computes the tokens, and how much it holds."""

    kind: str = "auto"
    """`openvino` (Llama-family models on a CPU), `transformers` (any model, slow), `vllm` (GPUs; extra), or `auto`."""
    weights: str = "auto"
    """Under `openvino`: `file` as a GGUF file has them, `int8` rounded to eight bits, `float32`; `auto` = `file` where
    the path has a GGUF file, else `float32`."""
    amateur: str = ""
    """A weaker model with the same tokenizer, for contrastive decoding: a path as `policy.path` takes them. Requests
    that ask for it (`contrastive`) are read by both, and it has `cache_tokens` places of its own. Empty = none."""
    cache_tokens: int = 16384
    """Places for the keys and values of all requests together."""
    cache_precision: str = "f32"
    """Of keys and values under `openvino`: `f32`, `f16` or `u8`."""
    activation_group: int = 0
    """Under `openvino`: activations are rounded to eight bits in groups of this size; 0 = they are not."""
    prefix_cache: bool = True
    """Whether prompts that begin alike share keys and values."""
    min_rows: int = 8
    """Requests side by side while few come."""
    max_rows: int = 128
    """Most requests side by side."""
    slow_step_ms: float = 0.0
    """An iteration that takes longer makes fewer rows; 0 = never."""
    prefill_tokens: int = 512
    """Prompt tokens read beside the running answers in one iteration: more = earlier first tokens, longer gaps."""
    threads: int = 0
    """Of the engine; 0 = the library's choice."""
    gpus: float = 0.0
    """GPUs that each engine books, under `vllm` and `transformers`; 0 = it runs on the CPU."""
    tensor: int = 1
    """GPUs that share every layer, under `vllm`; as many have to be booked."""
    memory: float = 0.85
    """Share of a GPU's memory that vLLM may take."""

    def __post_init__(self) -> None:
        require_choice("engine.kind", self.kind, ("auto", "openvino", "transformers", "vllm"))
        require_choice("engine.weights", self.weights, ("auto", "file", "int8", "float32"))
        require_choice("engine.cache_precision", self.cache_precision, ("f32", "f16", "u8"))
        require_range("engine.cache_tokens", self.cache_tokens, 64)
        require_range("engine.activation_group", self.activation_group, 0)
        require_range("engine.min_rows", self.min_rows, 1)
        require_range("engine.max_rows", self.max_rows, self.min_rows)
        require_range("engine.prefill_tokens", self.prefill_tokens, 1)
        require_range("engine.threads", self.threads, 0)
        require_range("engine.gpus", self.gpus, 0)
        require_range("engine.tensor", self.tensor, 1)
        require_range("engine.memory", self.memory, 0.01, 1)
        require(self.tensor == 1 or self.gpus >= self.tensor, "engine.gpus", self.gpus, "as many as engine.tensor")


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeConfig:
    """The service around the engine."""

    host: str = "127.0.0.1"
    """Address that is listened on; only this machine reaches the default."""
    port: int = 8000
    """0 = any free one."""
    door: str = "direct"
    """`direct`: ingresses listen themselves, on the machine of the job. `proxy`: Ray Serve's HTTP proxy listens on the
    head node and hands on, some milliseconds later, to ingresses on any machine."""
    model_name: str = ""
    """What clients call the model; empty = the last part of `policy.path`."""
    models: tuple[str, ...] = ()
    """More models behind the same address, as `NAME=PATH`: a request's `model` chooses. They share processes of their
    own, which load them when they are asked for."""
    models_per_replica: int = 2
    """How many of these one process holds at a time; then the one that nobody asked for the longest makes room."""
    model_replicas: int = 1
    """Such processes."""
    system: str = ""
    """System message for chats that bring none; empty = the chat template's own."""
    max_new_tokens: int = 256
    """Of a request that does not say."""
    queued_tokens: int = 65536
    """Prompt and answer tokens that may wait in one replica; beyond, requests are refused with 429."""
    request_seconds: float = 600.0
    """Longest life of a request; 0 = no limit."""
    deliveries_per_cpu: float = 32.0
    """Pieces that an engine hands over in a second, for all streams together, times the CPUs of its machine. First
    tokens go out at once; with one or two streams every token does. 0 = always."""
    ingresses: int = 0
    """Replicas of the HTTP side; 0 = two where engines run on GPUs, one otherwise."""
    min_replicas: int = 1
    """Engines; 0 = none while nobody asks."""
    max_replicas: int = 1
    """Most engines."""
    target_queued_tokens: int = 4096
    """Queued tokens an engine at which one more is started."""
    target_first_token_s: float = 2.0
    """Time to the first token at which one more is started; 0 = not looked at."""
    downscale_delay_s: float = 60.0
    """Seconds of calm before an engine is stopped."""
    drain_s: float = 30.0
    """Seconds that a stopping engine has for what it runs."""
    seconds: float = 0.0
    """The job ends after so many seconds; 0 = on Ctrl-C."""
    process_path: str = ""
    """Process reward model that scores reasoning steps, for `include_steps` and `best_of`; empty = none."""

    process_replicas: int = 1
    """Most processes that score steps; one while few answers wait."""

    def __post_init__(self) -> None:
        require_range("serve.process_replicas", self.process_replicas, 1)
        require_range("serve.port", self.port, 0, 65535)
        require_choice("serve.door", self.door, ("direct", "proxy"))
        require_range("serve.max_new_tokens", self.max_new_tokens, 1)
        require_range("serve.queued_tokens", self.queued_tokens, 1)
        names = [one.partition("=")[0] for one in self.models]
        for one in self.models:
            require(all(one.partition("=")), "serve.models", one, "NAME=PATH")
        require(len({*names}) == len(names), "serve.models", " ".join(self.models), "different names")
        require_range("serve.models_per_replica", self.models_per_replica, 1)
        require_range("serve.model_replicas", self.model_replicas, 1)
        require_range("serve.ingresses", self.ingresses, 0)
        require_range("serve.min_replicas", self.min_replicas, 0)
        require_range("serve.max_replicas", self.max_replicas, max(1, self.min_replicas))
        for name in (
            "request_seconds",
            "deliveries_per_cpu",
            "target_first_token_s",
            "downscale_delay_s",
            "drain_s",
            "seconds",
        ):
            require_range(f"serve.{name}", getattr(self, name), 0)
        require(bool(self.host), "serve.host", self.host, "an address")
