"""Spans continue the client's trace; without a configuration nothing happens."""

import pytest

from r1ray.config.serve_parts import TracingConfig
from r1ray.serve.observe import tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans():
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    yield exporter
    tracing.configure(TracingConfig())


def test_spans_nest_and_continue_the_clients_trace(spans):
    tracing.configure(TracingConfig(share=0.0), spans)
    with tracing.span("request", {"traceparent": PARENT}, path="/v1/completions"), tracing.span("engine"):
        headers = tracing.outgoing()
    engine, request = spans.get_finished_spans()
    assert (engine.name, request.name) == ("engine", "request")
    assert request.attributes == {"path": "/v1/completions"}
    assert f"{request.context.trace_id:032x}" == PARENT.split("-")[1]
    assert engine.parent.span_id == request.context.span_id
    assert headers["traceparent"].split("-")[2] == f"{engine.context.span_id:016x}"


def test_of_others_a_share_is_traced(spans):
    tracing.configure(TracingConfig(share=0.0), spans)
    with tracing.span("request"):
        pass
    assert not spans.get_finished_spans()


def test_without_an_endpoint_there_are_no_spans():
    with tracing.span("request", {"traceparent": PARENT}):
        assert tracing.outgoing() == {}
