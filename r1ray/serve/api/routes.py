"""HTTP: routes, streams of server-sent events, and error objects for whatever goes wrong."""

import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from r1ray.serve.access.body import BodyLimit
from r1ray.serve.access.errors import AccessDenied, RateLimited
from r1ray.serve.api.event_stream import EventStream, until_gone
from r1ray.serve.api.pace import Paced
from r1ray.serve.api.requests import ChatRequest, CompletionRequest, DetokenizeRequest, TokenizeRequest
from r1ray.serve.errors import ApiError, invalid
from r1ray.serve.observe.metrics import CONTENT_TYPE
from r1ray.serve.observe.middleware import Observed
from r1ray.serve.service import Service, new_request_id

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": "OpenAI's error object"} for status in (400, 401, 403, 404, 405, 408, 413, 429, 503)
}
_log = logging.getLogger("r1ray.serve")


def build_api(
    service: Callable[[], Service], *, max_bytes: int = 4 * 2**20, page: Callable[[], str] | None = None
) -> FastAPI:
    """The web application.

    Args:
        service: gives the service when a request comes.
        max_bytes: of a request's body.
        page: the web page at `/`; None = there is none.
    """
    app = FastAPI(title="r1ray", docs_url=None, redoc_url=None, separate_input_output_schemas=False)
    app.add_middleware(Paced)
    app.add_middleware(BodyLimit, max_bytes=max_bytes)
    app.add_middleware(Observed, metrics=lambda: service().metrics)  # the last one added is the outermost
    _errors(app)

    async def complete(request: Request, body: ChatRequest | CompletionRequest) -> Response:
        it, request_id = service(), request.headers.get("x-request-id", "")[:128]
        if not request_id.isascii() or not request_id.isprintable() or not request_id:
            request_id = new_request_id()
        call = await it.admit(body, request.url.path, request.headers, f"{request_id}")
        call.id = f"{request_id}-{new_request_id()[:8]}"  # clients may repeat theirs
        headers = {"x-request-id": request_id, "x-model-version": call.choice.version}
        if not body.stream:
            async with until_gone(request.receive):
                return JSONResponse(await it.answer(call), headers=headers)
        chunks = it.stream(call)
        try:
            async with until_gone(request.receive):
                first = await anext(chunks)  # what fails before it has a status of its own
        except BaseException:
            await chunks.aclose()
            raise
        return EventStream(_events(first, chunks), headers)

    @app.post("/v1/chat/completions", responses=ERRORS)
    async def chat_completions(request: Request, body: ChatRequest) -> Response:
        return await complete(request, body)

    @app.post("/v1/completions", responses=ERRORS)
    async def completions(request: Request, body: CompletionRequest) -> Response:
        return await complete(request, body)

    @app.get("/v1/models", responses=ERRORS)
    async def models(request: Request) -> Response:
        service().access.authenticate(request.headers)
        return JSONResponse({"object": "list", "data": _models(service())})

    @app.get("/v1/models/{model:path}", responses=ERRORS)
    async def one_model(request: Request, model: str) -> Response:
        service().access.authenticate(request.headers)
        service().model(model)
        return JSONResponse(next(one for one in _models(service()) if one["id"] == model))

    @app.post("/tokenize", responses=ERRORS)
    async def tokenize(request: Request, body: TokenizeRequest) -> Response:
        service().access.authenticate(request.headers)
        model = service().model(body.model)[1]
        if (body.prompt is None) == (body.messages is None):
            raise invalid("Give either `prompt` or `messages`.")
        if body.messages is not None:
            text = model.prompts.chat_text(body.messages, open_answer=body.add_generation_prompt)
            ids = model.prompts.encode(text, special=False)
        else:
            ids = model.prompts.encode(body.prompt or "", special=body.add_special_tokens)
        return JSONResponse({"count": len(ids), "max_model_len": model.engine.context_length, "tokens": ids})

    @app.post("/detokenize", responses=ERRORS)
    async def detokenize(request: Request, body: DetokenizeRequest) -> Response:
        service().access.authenticate(request.headers)
        model = service().model(body.model)[1]
        model.prompts.check(body.tokens, "tokens")
        return JSONResponse({"prompt": model.prompts.decode(body.tokens)})

    @app.get("/tokenizer_info", responses=ERRORS)
    async def tokenizer_info(request: Request, model: str = "") -> Response:
        service().access.authenticate(request.headers)
        return JSONResponse(service().model(model)[1].prompts.describe())

    @app.get("/health", responses=ERRORS)
    async def health() -> Response:
        for model in service().models.values():
            await model.engine.check()
        return JSONResponse({"status": "ok"})

    @app.get("/metrics")
    async def metrics() -> Response:
        await service().look()
        return Response(await service().peers.page(), media_type=CONTENT_TYPE)

    @app.get("/admin/canary", responses=ERRORS)
    async def canary(request: Request) -> Response:
        it = service()
        it.access.require_admin(it.access.authenticate(request.headers))
        return JSONResponse(dict(it.canary.state()))

    @app.post("/admin/canary", responses=ERRORS)
    async def set_canary(request: Request) -> Response:
        it = service()
        it.access.require_admin(it.access.authenticate(request.headers))
        try:
            percent = float((await request.json())["percent"])
        except (ValueError, TypeError, KeyError):
            raise invalid("Expected a JSON object with `percent`.", "percent") from None
        if not 0 <= percent <= 100:
            raise invalid("percent is from 0 to 100.", "percent")
        await it.peers.set_ratio(percent)
        return JSONResponse(dict(it.canary.state()))

    if page is not None:

        @app.get("/", include_in_schema=False)
        async def index() -> Response:
            return Response(page(), media_type="text/html; charset=utf-8")

    return app


def _models(it: Service) -> list[dict[str, Any]]:
    """The model under its name, each version of it under its own, and the others."""
    lengths = {it.name: it.models[it.canary.stable].engine.context_length}
    lengths |= {f"{it.name}:{version}": model.engine.context_length for version, model in it.models.items()}
    lengths |= {name: model.engine.context_length for name, model in it.others.items()}
    return [
        {"id": name, "object": "model", "created": it.created, "owned_by": "r1ray", "max_model_len": length}
        for name, length in lengths.items()
    ]


async def _events(first: dict[str, Any], chunks: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[bytes, None]:
    """Server-sent events; what goes wrong on the way is an event too."""
    async with contextlib.aclosing(chunks):
        yield _event(first)
        try:
            async for chunk in chunks:
                yield _event(chunk)
        except ApiError as error:
            yield _event(error.body())
        except Exception:
            _log.exception("a stream broke")
            yield _event(ApiError(500, "The stream broke off.", "server_error", "internal_error").body())
        yield b"data: [DONE]\n\n"


def _event(body: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n\n"


def _errors(app: FastAPI) -> None:
    """Every failure in OpenAI's form."""

    def answer(error: ApiError) -> JSONResponse:
        return JSONResponse(error.body(), status_code=error.status, headers=error.headers())

    @app.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> JSONResponse:
        return answer(error)

    @app.exception_handler(AccessDenied)
    async def denied(_: Request, error: AccessDenied) -> JSONResponse:
        kind = "authentication_error" if error.status == 401 else "permission_error"
        return answer(ApiError(error.status, error.message, kind, error.code))

    @app.exception_handler(RateLimited)
    async def limited(_: Request, error: RateLimited) -> JSONResponse:
        return answer(
            ApiError(429, error.message, "rate_limit_error", "rate_limit_exceeded", None, error.retry_after_s)
        )

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        problem = error.errors()[0]
        place = [str(part) for part in problem.get("loc", ()) if part != "body"]
        param = ".".join(place) or None
        return answer(invalid(f"{param or 'The body'}: {problem.get('msg', 'not valid')}", param))

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
        response = answer(ApiError(error.status_code, str(error.detail), code=code))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def internal(_: Request, error: Exception) -> JSONResponse:
        _log.exception("a request failed", exc_info=error)
        return answer(ApiError(500, "The service failed on this request.", "server_error", "internal_error"))
