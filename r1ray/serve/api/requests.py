"""Requests as clients send them. Fields that would change the answer and do not are refused, others tolerated."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

Number = Annotated[float, Field(strict=False, allow_inf_nan=False)]
TokenIds = Annotated[list[Annotated[StrictInt, Field(ge=0)]], Field(min_length=1)]

REFUSED = {
    "functions": "Use `tools`.",
    "function_call": "Use `tool_choice`.",
    "audio": "This model reads and writes text.",
    "modalities": "This model reads and writes text.",
    "prediction": "Predicted outputs are not supported.",
    "web_search_options": "This service does not search.",
    "suffix": "Insertion is not supported; send the text before it as `prompt`.",
    "penalty_alpha": "Contrastive search is not supported; `contrastive` is contrastive decoding.",
    "repetition_penalty": "Use `frequency_penalty` or `presence_penalty`.",
    "min_p": "Use `top_p` or `top_k`.",
    "use_beam_search": "Beam search is not supported.",
    "guided_json": "Use `response_format`.",
    "guided_regex": "Use `response_format`.",
    "min_tokens": "Use `ignore_eos`, or `logit_bias` on the end token.",
    "echo": "Only /v1/completions has `echo`.",
}
"""Known fields that would change the answer, and what to do instead. `null` and `false` ask for nothing."""


class _Request(BaseModel):
    model_config = ConfigDict(extra="allow")


class StreamOptions(_Request):
    """What a stream carries beside its tokens."""

    include_usage: StrictBool | None = None
    continuous_usage_stats: StrictBool | None = None


class JsonSchema(_Request):
    """The schema that an answer must match."""

    name: StrictStr = "answer"
    schema_: dict[str, Any] | StrictBool = Field(alias="schema", default=True)
    strict: StrictBool | None = None


class ResponseFormat(_Request):
    """The form of an answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class Contrastive(_Request):
    """Extension: contrastive decoding against the service's amateur model."""

    beta: Annotated[Number, Field(ge=0, le=10)] = 0.5
    alpha: Annotated[Number, Field(gt=0, le=1)] = 0.1


class Sampling(_Request):
    """What both kinds of completions share."""

    model: StrictStr = ""
    max_tokens: Annotated[StrictInt, Field(ge=0, le=2**31)] | None = None
    temperature: Annotated[Number, Field(ge=0, le=100)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    top_k: Annotated[StrictInt, Field(ge=-1, le=2**31)] | None = None
    n: Annotated[StrictInt, Field(ge=1, le=64)] | None = None
    best_of: Annotated[StrictInt, Field(ge=1, le=64)] | None = None
    stop: StrictStr | Annotated[list[Annotated[StrictStr, Field(min_length=1)]], Field(max_length=16)] | None = None
    seed: Annotated[StrictInt, Field(ge=-(2**63), lt=2**64)] | None = None
    logit_bias: dict[str, Annotated[Number, Field(ge=-100, le=100)]] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    ignore_eos: StrictBool | None = None
    contrastive: Contrastive | StrictBool | None = None
    """`true` = with the usual beta and alpha."""
    user: StrictStr | None = None
    response_format: ResponseFormat | None = None


class FunctionCall(_Request):
    """A call that the assistant made."""

    name: StrictStr
    arguments: StrictStr = "{}"


class ToolCall(_Request):
    """One of them, with its id."""

    id: StrictStr = ""
    type: Literal["function"] = "function"
    function: FunctionCall


class ContentPart(_Request):
    """A piece of a message; only text is understood."""

    type: Literal["text"]
    text: StrictStr


class Message(_Request):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: StrictStr | Annotated[list[ContentPart], Field(min_length=1)] | None = None
    name: StrictStr | None = None
    reasoning_content: StrictStr | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: StrictStr | None = None

    def text(self) -> str:
        """The content as one string."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class Function(_Request):
    """What the assistant may call."""

    name: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    description: StrictStr | None = None
    parameters: dict[str, Any] | None = None
    strict: StrictBool | None = None


class Tool(_Request):
    """One tool."""

    type: Literal["function"]
    function: Function


class NamedFunction(_Request):
    """Which function must be called."""

    name: StrictStr


class ToolChoice(_Request):
    """One certain tool."""

    type: Literal["function"]
    function: NamedFunction


class ChatRequest(Sampling):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[StrictInt, Field(ge=1, le=2**31)] | None = None
    logprobs: StrictBool | None = None
    top_logprobs: Annotated[StrictInt, Field(ge=0, le=20)] | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: StrictBool | None = None
    reasoning_effort: StrictStr | None = None
    include_steps: StrictBool | None = None
    """Extension: the steps of the reasoning, with their scores."""


class CompletionRequest(Sampling):
    """`POST /v1/completions`."""

    prompt: (
        StrictStr
        | TokenIds
        | Annotated[list[StrictStr], Field(min_length=1)]
        | Annotated[list[TokenIds], Field(min_length=1)]
    )
    echo: StrictBool | None = None
    logprobs: Annotated[StrictInt, Field(ge=0, le=20)] | None = None


class TokenizeRequest(_Request):
    """`POST /tokenize`: a text, or a conversation as the model would see it."""

    model: StrictStr = ""
    prompt: StrictStr | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    add_special_tokens: StrictBool = True
    add_generation_prompt: StrictBool = True


class DetokenizeRequest(_Request):
    """`POST /detokenize`."""

    model: StrictStr = ""
    tokens: list[Annotated[StrictInt, Field(ge=0)]]
