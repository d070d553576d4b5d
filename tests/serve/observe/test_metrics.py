"""What is counted is what is rendered, in Prometheus' own format."""

from r1ray.serve.observe.metrics import ServeMetrics
from tests.serve.observe.helpers import samples


def test_every_event_is_seen_in_its_series():
    metrics = ServeMetrics()
    metrics.request("/v1/completions", 200, 0.3)
    metrics.request("/wp-admin", 404, 0.001)
    metrics.first_token(0.02)
    metrics.time_per_token(0.004)
    metrics.tokens(10, 5, 8)
    metrics.queue(3, 400)
    metrics.batch(7)
    metrics.kv(0.25)
    metrics.error("overloaded")
    metrics.blocked("words", "input")
    metrics.version("v2")
    metrics.canary(1.0)
    found = samples(metrics.render())
    assert found["r1ray_serve_requests_total", ("/v1/completions", "200")] == 1
    assert found["r1ray_serve_requests_total", ("404", "other")] == 1
    assert found["r1ray_serve_request_seconds_sum", ("/v1/completions",)] == 0.3
    assert found["r1ray_serve_time_to_first_token_seconds_count", ()] == 1
    assert found["r1ray_serve_time_per_token_seconds_bucket", ("0.005",)] == 1
    assert [found["r1ray_serve_tokens_total", (kind,)] for kind in ("prompt", "new", "cached")] == [10, 5, 8]
    assert found["r1ray_serve_queue", ("tokens",)] == 400
    assert (found["r1ray_serve_batch_rows", ()], found["r1ray_serve_kv_usage", ()]) == (7, 0.25)
    assert found["r1ray_serve_errors_total", ("overloaded",)] == 1
    assert found["r1ray_serve_blocked_total", ("input", "words")] == 1
    assert found["r1ray_serve_version_requests_total", ("v2",)] == 1
    assert found["r1ray_serve_canary_percent", ()] == 1


def test_a_claim_counts_as_misses_of_the_levels_before_its_own():
    metrics = ServeMetrics()
    for level in ("l1", "flight", "l3", "miss", "off"):
        metrics.answer_cache(level)
    found = samples(metrics.render())
    name = "r1ray_serve_cache_lookups_total"
    assert found[name, ("hit", "l1")] == 1
    assert found[name, ("l1", "miss")] == 3
    assert found[name, ("hit", "l3")] == 1
    assert found[name, ("l3", "miss")] == 1
    assert found[name, ("flight", "hit")] == 1


def test_two_replicas_in_a_process_do_not_share_a_registry():
    one, other = ServeMetrics(), ServeMetrics()
    one.batch(3)
    assert samples(other.render())["r1ray_serve_batch_rows", ()] == 0
