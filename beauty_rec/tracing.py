"""Traces by OpenTelemetry, where ``traces`` is set; otherwise nothing of it is imported.

Requests are computed in batches: :func:`collected` keeps when each :func:`stage` of a batch began
and ended, so that every request of it gets spans of its own.
"""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beauty_rec.settings import TraceSettings, redacted


@dataclass(frozen=True)
class Stage:
    """A part of a computation; times are nanoseconds since 1970."""

    name: str
    began: int
    ended: int


_STAGES: ContextVar[list[Stage] | None] = ContextVar("stages", default=None)
_STARTED: list[Any] = []
"""The tracer, once there is one."""


def start(settings: TraceSettings, service: str) -> None:
    """Trace from now on, if the settings say where to; a second call does nothing.

    Raises:
        ImportError: the packages of the extra ``otel`` are not there.
    """
    if _STARTED or not settings.wanted:
        return
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
    except ImportError as error:
        raise ImportError(
            "traces need, in a clone: pip install -c constraints.txt -e '.[otel]'"
        ) from error
    provider = TracerProvider(
        resource=Resource.create({"service.name": service}),
        sampler=ParentBasedTraceIdRatio(settings.share),
    )
    if settings.file is not None:
        provider.add_span_processor(SimpleSpanProcessor(_to_file(settings.file)))
    if settings.endpoint is not None:
        provider.add_span_processor(BatchSpanProcessor(_to_collector(settings.endpoint)))
    use(provider)


def use(provider: Any) -> None:
    """Trace with a provider of OpenTelemetry's SDK from now on; with None, no more."""
    _STARTED[:] = [] if provider is None else [provider.get_tracer("beauty_rec")]


def tracing() -> bool:
    """Whether traces are made."""
    return bool(_STARTED)


@contextmanager
def span(name: str, headers: dict[str, str] | None = None, **attributes: Any) -> Iterator[Any]:
    """Yield a span that is the present one inside; None where nothing is traced.

    Args:
        name: of the span.
        headers: of a request, whose ``traceparent`` is the span's parent.
        attributes: of the span; those that are None are left out.
    """
    if not _STARTED:
        yield None
        return
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = TraceContextTextMapPropagator().extract(headers) if headers else None
    given = {name: value for name, value in attributes.items() if value is not None}
    with _STARTED[0].start_as_current_span(
        name, context=parent, attributes=given, record_exception=False
    ) as found:
        yield found


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Note when a part of a batch begins and ends, where somebody collects that."""
    stages = _STAGES.get()
    if stages is None:
        yield
        return
    began = time.time_ns()
    try:
        yield
    finally:
        stages.append(Stage(name, began, time.time_ns()))


@contextmanager
def collected() -> Iterator[list[Stage]]:
    """Yield the list that the stages of this block come into."""
    stages: list[Stage] = []
    token = _STAGES.set(stages)
    try:
        yield stages
    finally:
        _STAGES.reset(token)


def here() -> Any:
    """Return the present context, for :func:`add_spans` on another thread."""
    from opentelemetry.context import get_current

    return get_current()


def add_spans(context: Any, stages: Sequence[Stage], **attributes: Any) -> None:
    """Add spans of what is over below the span of a context."""
    if not _STARTED:
        return
    for part in stages:
        made = _STARTED[0].start_span(
            part.name, context=context, start_time=part.began, attributes=attributes
        )
        made.end(part.ended)


def _to_collector(endpoint: str) -> Any:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=endpoint, insecure=endpoint.startswith("http://"))


def _to_file(path: Path) -> Any:
    """Return an exporter that appends each span to a file as a line of JSON."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    writing = threading.Lock()

    class Lines(SpanExporter):
        def export(self, spans: Sequence[Any]) -> Any:
            lines = "".join(
                json.dumps(json.loads(span.to_json(indent=None))) + "\n" for span in spans
            )
            with writing, path.open("a", encoding="utf-8") as file:
                file.write(redacted(lines))
            return SpanExportResult.SUCCESS

    return Lines()
