"""OpenTelemetry spans; nothing at all unless an endpoint is configured."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from r1ray.config.serve_parts import TracingConfig
from r1ray.errors import ConfigError

_tracer: Any = None


def configure(config: TracingConfig, exporter: Any = None) -> None:
    """Trace from now on in this process, or stop.

    Args:
        config: where spans are sent, and how many.
        exporter: instead of the one for `config.endpoint`.

    Raises:
        ConfigError: the packages are not installed.
    """
    global _tracer
    if not config.endpoint and exporter is None:
        _tracer = None
        return
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            processor: Any = BatchSpanProcessor(OTLPSpanExporter(endpoint=config.endpoint))
        else:
            processor = SimpleSpanProcessor(exporter)
    except ImportError as error:
        raise ConfigError(
            f"tracing.endpoint is {config.endpoint!r}, but OpenTelemetry's exporter is not installed ({error}). "
            "Install it with pip install 'r1ray[tracing]', or leave the endpoint empty."
        ) from error
    provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(config.share), resource=Resource.create({"service.name": "r1ray"})
    )
    provider.add_span_processor(processor)
    _tracer = provider.get_tracer("r1ray.serve")


@contextmanager
def span(name: str, headers: Mapping[str, str] | None = None, **attributes: Any) -> Iterator[None]:
    """One piece of work. With headers it continues the trace of whoever sent them (W3C `traceparent`)."""
    if _tracer is None:
        yield
        return
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract(dict(headers)) if headers else None
    with _tracer.start_as_current_span(name, context=context, attributes=attributes):
        yield


def outgoing() -> dict[str, str]:
    """Headers that let another process continue the current trace."""
    if _tracer is None:
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    headers: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(headers)
    return headers
