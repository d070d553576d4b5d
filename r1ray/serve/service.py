"""What happens to a request between its arrival and its answer; knows neither HTTP nor Ray.

access ─► validation ─► limits ─► guard ─► canary ─► cache ─► engine ─► guard ─► steps, best of n ─► log, metrics
"""

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from r1ray.errors import ConfigError
from r1ray.reasoning.best_of_n import best_of, solution_score
from r1ray.serve.access.access import Access, Principal
from r1ray.serve.api.answers import Answer, Head, chat_choice, text_choice
from r1ray.serve.api.params import decoding, grammar_of, refuse_unsupported
from r1ray.serve.api.requests import ChatRequest, CompletionRequest
from r1ray.serve.api.tools import active_tools, must_call, read_calls, with_manual
from r1ray.serve.cache.answers import AnswerCache, CachedAnswer
from r1ray.serve.cache.key import Origin
from r1ray.serve.call import Call, Delta, fold
from r1ray.serve.canary.controller import Canary
from r1ray.serve.canary.outcomes import Outcome
from r1ray.serve.choices import deltas
from r1ray.serve.chunks import cached_chunks, delta_chunk, final_chunks
from r1ray.serve.deadline import in_time
from r1ray.serve.errors import ApiError, invalid
from r1ray.serve.guard.guard import Guard
from r1ray.serve.observe.metrics import ServeMetrics
from r1ray.serve.observe.request_log import RequestLog
from r1ray.serve.served import ServedModel
from r1ray.serve.shadow import shadow


class Service:
    """The parts around the engines, put together.

    Args:
        name: what clients call the model.
        models: its versions by name; the canary names the stable one.
        max_new_tokens: of a request that does not say.
        request_seconds: longest life of a request; 0 = no limit.
        grammars: whether engines can follow grammars.
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
        log: RequestLog,
        max_new_tokens: int = 256,
        request_seconds: float = 0.0,
        grammars: bool = True,
    ) -> None:
        self.name, self.models, self.canary, self.access, self.metrics = name, dict(models), canary, access, metrics
        self._guard, self._cache, self._log = guard, cache, log
        self._max_new_tokens, self._request_seconds, self._grammars = max_new_tokens, request_seconds, grammars
        self._background: set[asyncio.Task[None]] = set()
        self.created = int(time.time())
        self.weights_version = 0
        """Counts roll-outs. Only what the engines wrote with these weights is remembered."""
        self.in_flight = self.requests = self.errors = 0
        self._seconds: deque[float] = deque(maxlen=10000)

    def figures(self) -> dict[str, Any]:
        """Requests answered, how many of them failed, and how long the recent ones took."""
        recent = sorted(self._seconds)
        p95 = round(1000 * recent[min(len(recent) - 1, int(0.95 * len(recent)))], 1) if recent else None
        return {"requests": self.requests, "errors": self.errors, "p95_ms": p95}

    def model(self, name: str, forced: str = "") -> tuple[str, ServedModel]:
        """The version that a request names, in `model` or in the header; empty version = the canary decides.

        Raises:
            ApiError: 404, no such model.
        """
        version = forced
        if name and name != self.name:
            base, _, asked = name.partition(":")
            version = asked if base == self.name and asked in self.models else ""
            if not version:
                raise ApiError(
                    404,
                    f"There is no model {name!r} here; expected {self.name!r}.",
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
        if not forced:
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
        call = self._call(request, path, principal, model, choice, request_id)
        self.metrics.version(choice.version)
        return call

    def _call(
        self,
        request: ChatRequest | CompletionRequest,
        path: str,
        principal: Principal,
        model: ServedModel,
        choice: Any,
        request_id: str,
    ) -> Call:
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
                raise invalid(
                    "best_of of a chat needs a process reward model: start with --serve.process-path.", "best_of"
                )
        params = decoding(
            request,
            default_tokens=self._max_new_tokens,
            room=model.engine.context_length - max(map(len, prompts)),
            vocabulary=model.vocabulary,
            amateur=model.amateur,
        )
        if choice.shadow or (not chat and (request.best_of or 1) > (request.n or 1)):
            params = replace(params, logprobs=True)
        return Call(
            id=request_id,
            path=path,
            request=request,
            principal=principal,
            model=model,
            choice=choice,
            prompts=prompts,
            params=params,
            grammar=grammar_of(request, available=self._grammars),
            text=text,
            head=Head.of(request_id, request.model or self.name, chat),
            tools=bool(tools),
            forced_call=isinstance(request, ChatRequest) and must_call(request),
        )

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
            choices = self._choices(call, answers)
            used = call.used(answers)
            if call.weights <= {self.weights_version}:
                claim.computed = CachedAnswer(choices, used)
            return call.head.body(choices, used)

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
            if call.weights <= {self.weights_version}:
                claim.computed = CachedAnswer(self._choices(call, answers), call.used(answers))

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
            self._book(call, answers, error)

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
        """What is done with whole answers: calls are read, steps scored, the best chosen, the canary's shadow run."""
        for answer in answers:
            if call.tools and answer.finish_reason != "content_filter":
                answer.text, answer.tool_calls = read_calls(answer.text, call.forced_call)
                if answer.tool_calls and answer.finish_reason == "stop":
                    answer.finish_reason = "tool_calls"
        wants_steps = isinstance(call.request, ChatRequest) and call.request.include_steps
        if wants_steps or (call.drawn > call.wanted and call.model.scorer is not None):
            for answer in answers:
                ids = call.prompts[answer.index // call.drawn]
                answer.steps = await self._steps(call, ids, answer)
        if call.choice.shadow and answers[0].finish_reason != "content_filter":
            task = asyncio.create_task(shadow(self.models, call, answers[0], self.canary))
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def _steps(self, call: Call, ids: Sequence[int], answer: Answer) -> list[dict[str, Any]]:
        tokens = [token for token, _ in answer.tokens]
        if call.model.scorer is not None and tokens:
            return await call.model.scorer.score(ids, tokens)
        from r1ray.reasoning.steps import step_spans

        text = answer.reasoning or answer.text
        return [{"text": text[start:end], "score": None} for start, end in step_spans(text)]

    def _choices(self, call: Call, answers: Sequence[Answer]) -> list[dict[str, Any]]:
        """The wanted choices of every prompt, in the API's form."""
        chosen: list[Answer] = []
        for prompt in range(len(call.prompts)):
            group = list(answers[prompt * call.drawn : (prompt + 1) * call.drawn])
            while len(group) > call.wanted:  # the worst leaves until as many are left as are wanted
                ranks = [-_worth(answer) for answer in group]
                group.pop(best_of(ranks))
            chosen += sorted(group, key=_worth, reverse=True) if call.drawn > call.wanted else group
        for index, answer in enumerate(chosen):
            answer.index = index
        names = call.model.names
        if isinstance(call.request, ChatRequest):
            return [chat_choice(answer, names, bool(call.request.logprobs)) for answer in chosen]
        return [text_choice(answer, names, call.request.logprobs is not None) for answer in chosen]

    def _key(self, call: Call) -> str | None:
        fields = call.request.model_dump(exclude_none=True, by_alias=True)
        fields["prompt_ids"], fields["max_new_tokens"] = [list(ids) for ids in call.prompts], call.params.max_new_tokens
        origin = Origin(
            model=f"{self.name}:{call.choice.version}@{self.weights_version}",
            quantization=call.model.quantization,
            template=call.model.prompts.version,
            guard=self._guard.version,
            tenant=call.principal.tenant,
        )
        return None if call.choice.shadow else self._cache.key(call.path, fields, origin)

    def _book(self, call: Call, answers: Sequence[Answer], error: str) -> None:
        """Metrics, the canary's books and the log."""
        seconds, used = time.monotonic() - call.started, call.used(answers)
        new = used["completion_tokens"]
        if call.cache_level in ("off", "miss"):
            self.metrics.tokens(used["prompt_tokens"], new, used["prompt_tokens_details"]["cached_tokens"])
            self.metrics.cache("l2", used["prompt_tokens_details"]["cached_tokens"] > 0)
        if call.first_token_s is not None:
            self.metrics.first_token(call.first_token_s)
            longest = max(len(answer.tokens) for answer in answers)
            if longest > 1:
                self.metrics.time_per_token((seconds - call.first_token_s) / (longest - 1))
        self.requests += 1
        self._seconds.append(seconds)
        if error:
            self.metrics.error(error)
            self.errors += error != "disconnected"
        if not call.choice.shadow and error != "disconnected" and call.cache_level in ("off", "miss"):
            self.canary.record(
                Outcome(
                    version=call.choice.version,
                    request_id=call.id,
                    ok=not error and not call.guard_rule,
                    ttft_s=call.first_token_s or 0.0,
                    seconds=seconds,
                    tokens=new,
                )
            )
        request = call.request
        record: dict[str, Any] = {
            "request_id": call.id,
            "time": time.time(),
            "key_id": call.principal.key_id,
            "tenant": call.principal.tenant,
            "model": self.name,
            "version": call.choice.version,
            "path": call.path,
            "status": call.status if not error else 499 if error == "disconnected" else 500,
            "finish_reason": answers[0].finish_reason,
            "usage": used,
            "ttft_ms": None if call.first_token_s is None else round(1000 * call.first_token_s, 1),
            "ms": round(1000 * seconds, 1),
            "cache": call.cache_level,
            "guard": call.guard_rule,
            "answer": answers[0].text,
        }
        if isinstance(request, ChatRequest):
            record["messages"] = [message.model_dump(exclude_none=True) for message in request.messages]
        else:
            record["prompt"] = call.text
        self._log.write(record)


def new_request_id() -> str:
    """For a request that brings none."""
    return secrets.token_hex(12)


def _worth(answer: Answer) -> float:
    """Of best-of-n: the weakest step where steps are scored, else the mean log-prob."""
    if answer.steps is not None:
        return solution_score([step["score"] for step in answer.steps if step["score"] is not None])
    return answer.mean_logprob
