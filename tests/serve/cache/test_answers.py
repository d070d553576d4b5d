"""Which requests have a key; and an answer comes back as it went in."""

import asyncio

import pytest

from r1ray.config.serve_parts import CacheConfig
from r1ray.serve.cache.answers import AnswerCache, CachedAnswer
from r1ray.serve.cache.key import Origin

PATH, ORIGIN = "/v1/completions", Origin(model="m@1")
ANSWER = CachedAnswer([{"index": 0, "text": "− ½", "logprobs": {"token_logprobs": [-0.1, None]}}], {"total_tokens": 3})


@pytest.mark.parametrize(
    ("config", "fields", "cached"),
    [
        (CacheConfig(), {"temperature": 0}, True),
        (CacheConfig(), {"temperature": 0, "cache": False}, False),
        (CacheConfig(), {"temperature": 1}, False),
        (CacheConfig(), {"temperature": 1, "cache": True}, True),
        (CacheConfig(sampled=True), {}, True),
        (CacheConfig(enabled=False, sampled=True), {"cache": True}, False),
    ],
)
def test_a_request_is_remembered_if_it_is_deterministic_or_asks_for_it(config, fields, cached):
    assert (AnswerCache(config).key(PATH, fields, ORIGIN) is not None) is cached


def test_a_warm_answer_equals_the_cold_one():
    async def scenario() -> None:
        cache = AnswerCache(CacheConfig())
        key = cache.key(PATH, {"prompt_ids": [1, 2], "temperature": 0}, ORIGIN)
        async with cache.claim(key) as cold:
            assert cold.found is None
            cold.computed = ANSWER
        async with cache.claim(key) as warm:
            assert warm.found == ANSWER
            assert warm.level == "l1"

    asyncio.run(scenario())
