"""From a validated request to what the engine is asked, or to a clear refusal."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from r1ray.errors import DataError
from r1ray.generation.iteration import Contrast, DecodingParams
from r1ray.serve.api.requests import REFUSED, ChatRequest, CompletionRequest, Contrastive, ResponseFormat, Sampling
from r1ray.serve.api.tools import tool_grammar
from r1ray.serve.errors import invalid


def refuse_unsupported(request: Sampling) -> None:
    """Fields that would change the answer and are not acted on; those that ask for nothing are let through."""
    for name, value in (request.model_extra or {}).items():
        if name in REFUSED and value not in (None, False):
            raise invalid(f"`{name}` is not supported. {REFUSED[name]}", name, "unsupported_parameter")


def decoding(
    request: ChatRequest | CompletionRequest, *, default_tokens: int, room: int, vocabulary: int, amateur: bool = False
) -> DecodingParams:
    """How the request's tokens are drawn.

    Args:
        request: after validation.
        default_tokens: where it does not say.
        room: tokens that the context has left behind the prompt.
        vocabulary: number of tokens there are.
        amateur: whether there is one, for contrastive decoding.
    """
    asked = getattr(request, "max_completion_tokens", None)
    asked = request.max_tokens if asked is None else asked
    chat = isinstance(request, ChatRequest)
    if asked == 0 and (chat or not getattr(request, "echo", None)):
        raise invalid("max_tokens is 0: only a completion with `echo` has nothing to add.", "max_tokens")
    if room < 1 and asked != 0:
        raise invalid("The prompt fills the whole context: shorten it.", None, "context_length_exceeded")
    if asked is not None and asked > room:
        raise invalid(
            f"{asked} new tokens were asked for, but the context has room for {max(room, 0)} behind this prompt.",
            "max_tokens",
            "context_length_exceeded",
        )
    limit = asked if asked is not None else max(1, min(default_tokens, room))
    if isinstance(request, ChatRequest):
        wants, top = bool(request.logprobs), request.top_logprobs or 0
        if top and not wants:
            raise invalid("`top_logprobs` needs `logprobs`: true.", "top_logprobs")
        prompt = False
    else:
        wants, top = request.logprobs is not None, request.logprobs or 0
        prompt = wants and bool(request.echo)
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    temperature = 1.0 if request.temperature is None else request.temperature
    return DecodingParams(
        max_new_tokens=limit,
        temperature=temperature,
        top_p=1.0 if request.top_p is None else request.top_p,
        top_k=max(request.top_k or 0, 0),
        seed=secrets.randbits(63) if request.seed is None else request.seed % 2**64,
        stop=tuple(text for text in stop if text),
        ignore_end=bool(request.ignore_eos),
        logit_bias=_biases(request.logit_bias or {}, vocabulary),
        presence_penalty=request.presence_penalty or 0.0,
        frequency_penalty=request.frequency_penalty or 0.0,
        logprobs=wants,
        top_logprobs=top,
        prompt_logprobs=prompt,
        contrast=_contrast(request, amateur),
    )


def grammar_of(request: ChatRequest | CompletionRequest, *, available: bool) -> str:
    """The grammar that the answer must match; empty = none."""
    tools = tool_grammar(request) if isinstance(request, ChatRequest) else None
    schema = tools if tools is not None else _schema(request.response_format)
    if schema is None:
        return ""
    if not available:
        raise invalid("This service has no grammars (llguidance is not installed): ask without `response_format`.")
    from r1ray.generation.grammar import json_schema_grammar  # an extra

    try:
        return json_schema_grammar(json.dumps(schema))
    except DataError as error:
        raise invalid(str(error), "response_format") from error


def _schema(form: ResponseFormat | None) -> Any:
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return {"type": "object"}
    if form.json_schema is None:
        raise invalid("response_format `json_schema` needs the schema, in `json_schema`.", "response_format")
    return form.json_schema.schema_


def _contrast(request: Sampling, amateur: bool) -> Contrast | None:
    asked = Contrastive() if request.contrastive is True else request.contrastive
    if not isinstance(asked, Contrastive):
        return None
    if not amateur:
        raise invalid(
            "`contrastive` needs an amateur model; this service was started without --engine.amateur.",
            "contrastive",
            "unsupported_parameter",
        )
    return Contrast(beta=asked.beta, alpha=asked.alpha)


def _biases(given: Mapping[str, float], vocabulary: int) -> dict[int, float]:
    biases = {}
    for name, value in given.items():
        if not (name.isascii() and name.isdigit() and int(name) < vocabulary):
            raise invalid(f"logit_bias has the key {name!r}; expected a token id below {vocabulary}.", "logit_bias")
        biases[int(name)] = value
    return biases
