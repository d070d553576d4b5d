"""Any OpenAI-compatible endpoint as teacher, by plain HTTP: `POST {base}/chat/completions`."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from r1ray.data.synthesize.teacher import Asked
from r1ray.errors import ConfigError, WorkerError

_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE = 60.0
_TOO_BUSY = (408, 409, 425, 429)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenAIEndpoint:
    """A served model."""

    base_url: str
    """Up to and including `/v1`."""
    model: str
    api_key: str = ""
    """Sent as a bearer token; empty = none."""
    temperature: float = 0.7
    max_tokens: int = 512
    requests: int = 4
    """At a time."""
    timeout_s: float = 120.0
    retries: int = 4
    """Of a request that was one too many (`Retry-After` is heeded), met a server's error or broke off."""
    sleep: Callable[[float], None] = time.sleep

    @property
    def name(self) -> str:
        """The model's, without the address."""
        return self.model

    def answer(self, asked: Sequence[Asked]) -> list[list[str]]:
        """One request a sample, each with a seed of its own: not every server knows `n`.

        Raises:
            ConfigError: the endpoint refuses the request itself (unknown model, bad key).
            WorkerError: it cannot be reached, or goes on failing.
        """
        wanted = [(one.prompt, one.seed + number) for one in asked for number in range(one.samples)]
        with ThreadPoolExecutor(self.requests) as pool:
            found = iter(list(pool.map(lambda request: self._ask(*request), wanted)))
        return [[next(found) for _ in range(one.samples)] for one in asked]

    def _ask(self, prompt: str, seed: int) -> str:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": seed,
        }
        reply = self._post(body)
        try:
            return str(reply["choices"][0]["message"]["content"] or "")
        except (KeyError, IndexError, TypeError) as error:
            raise WorkerError(
                f"{self.base_url} did not answer as an OpenAI chat endpoint does ({error!r}): {str(reply)[:300]}"
            ) from error

    def _post(self, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        request = urllib.request.Request(
            f"{self.base_url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers
        )
        trouble = ""
        for attempt in range(self.retries + 1):
            pause = min(_LONGEST_PAUSE, _PAUSE_SECONDS * 2**attempt)
            try:
                with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                    return json.load(response)
            except urllib.error.HTTPError as error:
                trouble = f"HTTP {error.code}: {error.read(500).decode(errors='replace')}"
                if error.code < 500 and error.code not in _TOO_BUSY:
                    raise ConfigError(
                        f"{self.base_url} refuses the request for model {self.model!r} ({trouble}). Check "
                        "synthesize.teacher, synthesize.model and the key."
                    ) from error
                after = error.headers.get("Retry-After", "")
                pause = min(_LONGEST_PAUSE, float(after)) if after.isdigit() else pause
            except (OSError, HTTPException, ValueError) as error:  # refused, broken off, timed out; or no JSON
                trouble = f"{type(error).__name__}: {error}"
            if attempt < self.retries:
                self.sleep(pause)
        raise WorkerError(
            f"{self.base_url} did not answer in {self.retries + 1} attempts; the last: {trouble}. Is the server up? "
            "What is written already is kept: start again to go on."
        )


class ChatTranslator:
    """A teacher as translator, for back-translation."""

    def __init__(self, endpoint: OpenAIEndpoint, other: str = "Spanish", own: str = "English") -> None:
        self._endpoint, self._other, self._own = endpoint, other, own

    def there(self, texts: Sequence[str]) -> list[str]:
        """Into the other language."""
        return self._translate(texts, self._other)

    def back(self, texts: Sequence[str]) -> list[str]:
        """Back into the texts' own."""
        return self._translate(texts, self._own)

    def _translate(self, texts: Sequence[str], language: str) -> list[str]:
        order = f"Translate into {language}. Keep every number as it is. Reply with the translation alone.\n\n"
        asked = [Asked(prompt=order + text) for text in texts]
        return [" ".join(samples[0].split()) for samples in self._endpoint.answer(asked)]
