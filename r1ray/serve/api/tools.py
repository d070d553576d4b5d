"""Tools: how the model is told of them, when it must call one, and how its calls are read."""

import json
import re
import secrets
from typing import Any

from r1ray.serve.api.requests import ChatRequest, Message, ToolChoice
from r1ray.serve.errors import invalid

_CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)
_MANUAL = """You may call these functions. To call one, answer with
<tool_call>{"name": …, "arguments": {…}}</tool_call>
%s"""


def active_tools(request: ChatRequest) -> list[dict[str, Any]]:
    """The tools that the model is told of."""
    if not request.tools or request.tool_choice == "none":
        return []
    return [tool.model_dump(exclude_none=True) for tool in request.tools]


def with_manual(messages: list[Message], tools: list[dict[str, Any]]) -> list[Message]:
    """For chat templates that know no tools: a system message that lists them."""
    text = _MANUAL % "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    first, rest = (messages[0], messages[1:]) if messages[0].role in ("system", "developer") else (None, messages)
    text = f"{first.text()}\n\n{text}" if first is not None else text
    return [Message(role="system", content=text), *rest]


def must_call(request: ChatRequest) -> bool:
    """Whether the answer is a call and nothing else."""
    return request.tool_choice == "required" or isinstance(request.tool_choice, ToolChoice)


def tool_grammar(request: ChatRequest) -> dict[str, Any] | None:
    """JSON schema of a call that must be made; None = none must.

    Raises:
        ApiError: the call is of a tool that is not there.
    """
    if request.tool_choice is not None and request.tool_choice != "none" and not request.tools:
        raise invalid("`tool_choice` needs `tools`.", "tool_choice")
    if not must_call(request):
        return None
    tools = [tool.function for tool in request.tools or ()]
    if isinstance(request.tool_choice, ToolChoice):
        name = request.tool_choice.function.name
        tools = [tool for tool in tools if tool.name == name]
        if not tools:
            raise invalid(f"tool_choice names {name!r}, which is not among the tools.", "tool_choice")
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": tool.parameters or {"type": "object"}},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    return calls[0] if len(calls) == 1 else {"anyOf": calls}


def read_calls(text: str, forced: bool) -> tuple[str, list[dict[str, Any]]]:
    """The text without its calls, and the calls in the API's form. What is no valid call stays text."""
    if forced:
        call = _call(text)
        return ("", [call]) if call else (text, [])
    calls = []
    rest, end = "", 0
    for found in _CALL.finditer(text):
        if call := _call(found[1]):
            calls.append(call)
            rest += text[end : found.start()]
            end = found.end()
    return (rest + text[end:]).strip() if calls else text, calls


def _call(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
        name, arguments = value["name"], value.get("arguments", {})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if not isinstance(name, str):
        return None
    arguments = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {
        "id": f"call_{secrets.token_hex(12)}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
