"""Metrics of several processes add up as if one had counted everything."""

import pickle
import random

from r1ray.serve.observe.metrics import ServeMetrics
from r1ray.serve.observe.pages import as_one
from tests.serve.observe.helpers import samples


def counted(page: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    return {key: round(value, 6) for key, value in samples(page).items() if not key[0].endswith("_created")}


def test_what_several_counted_is_what_one_would_have_counted() -> None:
    rng = random.Random(0)
    several, one = [ServeMetrics() for _ in range(3)], ServeMetrics()
    for _ in range(300):
        path, status, seconds = rng.choice(("/health", "/v1/completions", "/x")), rng.choice((200, 429)), rng.random()
        for metrics in (rng.choice(several), one):
            metrics.request(path, status, seconds)
            metrics.tokens(3, 2, 1)
            metrics.first_token(seconds / 10)
            metrics.answer_cache("l3")
    joined = as_one(pickle.loads(pickle.dumps([metrics.page() for metrics in several])))
    assert counted(joined) == counted(one.render())


def test_a_gauge_is_what_was_heard_last() -> None:
    old, new = ServeMetrics(), ServeMetrics()
    old.kv(0.9)
    new.kv(0.2)
    assert samples(as_one([old.page(), new.page()]))["r1ray_serve_kv_usage", ()] == 0.2


def test_a_counter_began_with_the_first_that_counted() -> None:
    old, new = ServeMetrics(), ServeMetrics()
    for metrics in (old, new):
        metrics.error("engine")

    def began(page: bytes) -> float:
        return next(float(line.split()[-1]) for line in page.decode().splitlines() if "errors_created{" in line)

    assert began(as_one([new.page(), old.page()])) == began(old.render())
