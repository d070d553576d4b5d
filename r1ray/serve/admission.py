"""From a validated request to a call that may be answered, or to what its client is told."""

from dataclasses import replace
from typing import Any

from r1ray.serve.access.access import Principal
from r1ray.serve.api.answers import Head
from r1ray.serve.api.params import decoding, grammar_of
from r1ray.serve.api.requests import ChatRequest, CompletionRequest
from r1ray.serve.api.tools import active_tools, must_call, with_manual
from r1ray.serve.call import Call
from r1ray.serve.canary.controller import Choice
from r1ray.serve.errors import invalid
from r1ray.serve.served import ServedModel


def make_call(
    request: ChatRequest | CompletionRequest,
    *,
    model: ServedModel,
    choice: Choice,
    principal: Principal,
    path: str,
    id: str,
    name: str,
    default_tokens: int,
    grammars: bool,
) -> Call:
    """Prompts as ids, and how their answers are drawn.

    Args:
        request: after validation.
        model: that answers it.
        choice: why it does.
        principal: whose request it is.
        path: of the API.
        id: of the request.
        name: what the answer calls the model.
        default_tokens: of a request that does not say.
        grammars: whether the engine can follow them.

    Raises:
        ApiError: 400, what is wrong with it.
    """
    chat = isinstance(request, ChatRequest)
    tools: list[dict[str, Any]] = []
    if isinstance(request, ChatRequest):
        tools = active_tools(request)
        messages = request.messages
        if tools and not model.prompts.knows_tools:
            messages = with_manual(messages, tools)
        prompts: list[list[int]] = [model.prompts.chat(messages, tools)]
        text = "\n".join(message.text() for message in request.messages if message.role != "assistant")
    else:
        prompts, text = model.prompts.given(request.prompt)
    if any(not ids for ids in prompts):
        raise invalid("The prompt has no tokens.", "prompt")
    if len(prompts) > 128:
        raise invalid(f"{len(prompts)} prompts came; at most 128 are taken at once.", "prompt")
    if (request.best_of or 1) < (request.n or 1) and request.best_of is not None:
        raise invalid("best_of is less than n.", "best_of")
    if (request.best_of or 1) > (request.n or 1):
        if request.stream:
            raise invalid("best_of chooses among whole answers: it does not go with `stream`.", "best_of")
        if chat and model.scorer is None:
            raise invalid("best_of of a chat needs a process reward model: start with --serve.process-path.", "best_of")
    params = decoding(
        request,
        default_tokens=default_tokens,
        room=model.engine.context_length - max(map(len, prompts)),
        vocabulary=model.vocabulary,
        amateur=model.amateur,
    )
    if choice.shadow or (not chat and (request.best_of or 1) > (request.n or 1)):
        params = replace(params, logprobs=True)
    return Call(
        id=id,
        path=path,
        request=request,
        principal=principal,
        model=model,
        choice=choice,
        prompts=prompts,
        params=params,
        grammar=grammar_of(request, available=grammars),
        text=text,
        head=Head.of(id, name, chat),
        tools=bool(tools),
        forced_call=isinstance(request, ChatRequest) and must_call(request),
    )
