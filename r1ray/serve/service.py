"""What happens to a request between its arrival and its answer; knows neither HTTP nor Ray.

access ─► validation ─► limits ─► guard ─► canary ─► cache ─► engine ─► guard ─► steps, best of n ─► log, metrics
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from r1ray.errors import ConfigError
from r1ray.serve.access.access import Access
from r1ray.serve.admission import make_call
from r1ray.serve.api.answers import Answer
from r1ray.serve.api.params import refuse_unsupported
from r1ray.serve.api.requests import ChatRequest, CompletionRequest
from r1ray.serve.books import Books
from r1ray.serve.cache.answers import AnswerCache, CachedAnswer
from r1ray.serve.cache.key import Origin
from r1ray.serve.call import Call, Delta, fold
from r1ray.serve.canary.controller import Canary, Choice
from r1ray.serve.choices import deltas
from r1ray.serve.chunks import cached_chunks, delta_chunk, final_chunks
from r1ray.serve.deadline import in_time
from r1ray.serve.errors import ApiError, invalid
from r1ray.serve.finishing import choices, finish
from r1ray.serve.guard.guard import Guard
from r1ray.serve.observe.metrics import ServeMetrics
from r1ray.serve.peers import Alone
from r1ray.serve.served import ServedModel
from r1ray.serve.shadow import shadow


class Service:
    """The parts around the engines, put together.

    Args:
        name: what clients call the model.
        models: its versions by name; the canary names the stable one.
        peers: what other ingresses of the service know as well.
        max_new_tokens: of a request that does not say.
        request_seconds: longest life of a request; 0 = no limit.
        grammars: whether engines can follow grammars.
        others: further models by name, which have no versions and no part in roll-outs.
    """

    def __init__(
        self,
        name: str,
        models: Mapping[str, ServedModel],
        *,
        canary: Canary,
        access: Access,
        guard: Guard,
        cache: AnswerCache,
        metrics: ServeMetrics,
        books: Books,
        peers: Alone,
        max_new_tokens: int = 256,
        request_seconds: float = 0.0,
        grammars: bool = True,
        others: Mapping[str, ServedModel] | None = None,
    ) -> None:
        self.name, self.models, self.canary, self.access, self.metrics = name, dict(models), canary, access, metrics
        self.others = dict(others or {})
        self._guard, self._cache, self._books, self.peers = guard, cache, books, peers
        self._max_new_tokens, self._request_seconds, self._grammars = max_new_tokens, request_seconds, grammars
        self._background: set[asyncio.Task[None]] = set()
        self.created = int(time.time())
        self.weights_version = 0
        """Counts roll-outs. Only what the engines wrote with these weights is remembered."""
        self.in_flight = 0

    def model(self, name: str, forced: str = "") -> tuple[str, ServedModel]:
        """The version that a request names, in `model` or in the header; empty version = the canary decides.

        Raises:
            ApiError: 404, no such model.
        """
        if name in self.others and forced in ("", name):
            return name, self.others[name]
        version = forced
        if name and name != self.name:
            base, _, asked = name.partition(":")
            version = asked if base == self.name and asked in self.models else ""
            if not version:
                raise ApiError(
                    404,
                    f"There is no model {name!r} here; expected one of {', '.join((self.name, *self.others))}.",
                    code="model_not_found",
                    param="model",
                )
        if version and version not in self.models:
            raise ApiError(404, f"There is no version {version!r}; expected one of {', '.join(self.models)}.",
                           code="model_not_found", param="model")  # fmt: skip
        return version, self.models[version or self.canary.stable]

    async def admit(
        self, request: ChatRequest | CompletionRequest, path: str, headers: Mapping[str, str], request_id: str
    ) -> Call:
        """From a validated request to a call that may be answered. Raises what a client is told."""
        principal = self.access.authenticate(headers)
        refuse_unsupported(request)
        forced, model = self.model(request.model, headers.get("x-model-version", ""))
        if forced in self.others:
            choice = Choice(forced)
        elif not forced:
            session = request.user or headers.get("x-session-id") or ""
            if not session:
                session = principal.key_id if principal.key_id != "anonymous" else request_id
            choice = self.canary.choose(session)
            model = self.models[choice.version]
        else:
            try:
                choice = self.canary.choose("", forced)
            except ConfigError as error:
                raise invalid(str(error), "model") from error
        call = make_call(
            request,
            model=model,
            choice=choice,
            principal=principal,
            path=path,
            id=request_id,
            name=request.model or self.name,
            default_tokens=self._max_new_tokens,
            grammars=self._grammars,
        )
        self.metrics.version(choice.version)
        return call

    async def look(self) -> None:
        """Bring the gauges up to date."""
        engine = self.models[self.canary.stable].engine
        if (load := await engine.load()) is not None:
            self.metrics.queue(load.waiting, load.waiting_tokens)
            self.metrics.batch(load.running)
            self.metrics.kv(1 - load.free_tokens / max(1, load.total_tokens))
        self.metrics.canary(self.canary.percent)

    async def answer(self, call: Call) -> dict[str, Any]:
        """The whole answer."""
        async with self._working(call) as answers, self._cache.claim(self._key(call)) as claim:
            call.cache_level = claim.level
            self.metrics.answer_cache(claim.level)
            if claim.found is not None:
                return call.head.body(claim.found.choices, claim.found.usage)
            async with contextlib.aclosing(self._deltas(call, answers)) as pieces:
                async for _ in pieces:
                    pass
            await self._finish(call, answers)
            found, used = choices(call, answers), call.used(answers)
            if call.weights <= {self._weights(call)}:
                claim.computed = CachedAnswer(found, used)
            return call.head.body(found, used)

    async def stream(self, call: Call) -> AsyncGenerator[dict[str, Any], None]:
        """The answer in chunks, as OpenAI's clients expect them."""
        options = call.request.stream_options
        with_usage, running = bool(options and options.include_usage), bool(options and options.continuous_usage_stats)
        async with self._working(call, whole=False) as answers, self._cache.claim(self._key(call)) as claim:
            call.cache_level = claim.level
            self.metrics.answer_cache(claim.level)
            if claim.found is not None:
                for chunk in cached_chunks(call, claim.found, with_usage):
                    yield chunk
                return
            async with contextlib.aclosing(in_time(self._deltas(call, answers), self._request_seconds)) as pieces:
                async for delta in pieces:
                    piece = delta_chunk(call, answers[delta.index], delta)
                    if piece is not None:
                        if running:
                            piece["usage"] = call.used(answers)
                        yield piece
            await self._finish(call, answers)
            for chunk in final_chunks(call, answers, with_usage):
                yield chunk
            if call.weights <= {self._weights(call)}:
                claim.computed = CachedAnswer(choices(call, answers), call.used(answers))

    @contextlib.asynccontextmanager
    async def _working(self, call: Call, whole: bool = True) -> AsyncIterator[list[Answer]]:
        """Limits before, books after. `whole`: one task does it all, so that one deadline holds."""
        answers = [Answer(index) for index in range(call.drawn * len(call.prompts))]
        error = ""
        try:
            with self.access.in_flight(call.principal):
                await self.access.admit(call.principal, call.reserved)
                self.in_flight += 1
                try:
                    async with asyncio.timeout((whole and self._request_seconds) or None):
                        yield answers
                finally:
                    self.in_flight -= 1
                    used = 0 if call.cache_level in ("l1", "l3", "flight") else call.used(answers)["total_tokens"]
                    await self.access.settle(call.principal, call.reserved, used)
        except TimeoutError:
            error = "timeout"
            raise ApiError(408, f"The request took longer than {self._request_seconds:g} seconds.", "timeout") from None
        except asyncio.CancelledError:
            error = "disconnected"
            raise
        except Exception as problem:
            error = type(problem).__name__
            raise
        finally:
            on_trial = call.choice.version in self.models
            self._books.close(call, answers, error, model=self._name(call), on_trial=on_trial)

    async def _deltas(self, call: Call, answers: list[Answer]) -> AsyncGenerator[Delta, None]:
        verdict = await self._guard.check_input(call.text)
        if not verdict.allowed:
            call.guard_rule = verdict.rule
            self.metrics.blocked(verdict.rule, "input")
            for answer in answers:
                delta = Delta(answer.index, finish_reason="content_filter")
                fold(answer, delta)
                yield delta
            return
        guards = [self._guard.output_stream() for _ in answers]
        async with contextlib.aclosing(deltas(call, guards)) as pieces:
            async for delta in pieces:
                if call.first_token_s is None and delta.tokens:
                    call.first_token_s = time.monotonic() - call.started
                if delta.finish_reason == "content_filter":
                    self.metrics.blocked(call.guard_rule, "output")
                fold(answers[delta.index], delta)
                yield delta

    async def _finish(self, call: Call, answers: list[Answer]) -> None:
        await finish(call, answers)
        if call.choice.shadow and answers[0].finish_reason != "content_filter":
            task = asyncio.create_task(shadow(self.models, call, answers[0], self.canary))
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    def _name(self, call: Call) -> str:
        return call.choice.version if call.choice.version in self.others else self.name

    def _weights(self, call: Call) -> int:
        return 0 if call.choice.version in self.others else self.weights_version

    def _key(self, call: Call) -> str | None:
        fields = call.request.model_dump(exclude_none=True, by_alias=True)
        fields["prompt_ids"], fields["max_new_tokens"] = [list(ids) for ids in call.prompts], call.params.max_new_tokens
        origin = Origin(
            model=f"{self._name(call)}:{call.choice.version}@{self._weights(call)}:{call.model.weights}",
            quantization=call.model.quantization,
            template=call.model.prompts.version,
            guard=self._guard.version,
            tenant=call.principal.tenant,
        )
        return None if call.choice.shadow else self._cache.key(call.path, fields, origin)


def new_request_id() -> str:
    """For a request that brings none."""
    return secrets.token_hex(12)
