"""The name of an answer: everything that may change it, hashed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

NEUTRAL = frozenset({"user", "stream", "stream_options", "metadata", "store", "service_tier", "cache"})
"""Fields of a request that do not change the answer. Every other field counts, known or not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What else an answer depends on, beside the request."""

    model: str
    """Which weights: the name and the version or hash."""
    quantization: str = ""
    template: str = ""
    """Hash or version of the chat template."""
    guard: str = ""
    """Version of the guardrails' rules."""
    tenant: str = ""
    """Whose request it is: answers are not shared between tenants."""


def response_key(endpoint: str, request: Mapping[str, Any], origin: Origin) -> str:
    """The key of a request's answer; numbers are compared by value, fields in any order.

    Args:
        endpoint: path of the API, such as `/v1/chat/completions`.
        request: the body, as the client sent it.
        origin: what else the answer depends on.
    """
    counted = {name: _plain(value) for name, value in request.items() if name not in NEUTRAL and value is not None}
    text = json.dumps([endpoint, counted, asdict(origin)], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return "answer/" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_deterministic(request: Mapping[str, Any]) -> bool:
    """Whether the request says that equal ones are to get equal answers: greedy, or with a seed.

    A temperature that is not given is the server's default, and not 0.
    """
    temperature = request.get("temperature")
    greedy = isinstance(temperature, int | float) and not isinstance(temperature, bool) and temperature == 0
    return greedy or request.get("top_k") == 1 or request.get("seed") is not None


def _plain(value: Any) -> Any:
    """1.0 and 1 are the same number; `true` is none."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
