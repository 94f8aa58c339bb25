"""Spans of OpenTelemetry around decisions, where an operator has set it up; without it nothing happens here.

The trace itself needs no package: every contact is given a `traceparent` at the door, and each hop hands it on. This
module only makes spans of the hops. The names of the messaging conventions, which are still in development, are kept
here and nowhere else. No span carries a text, an address or the words of an error: they may quote a customer.

Set up as for any program in Python: install the extra `otel`, OpenTelemetry's distribution and an exporter, and start
with `opentelemetry-instrument contactbus ...`.
"""

import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from bus.log.port import StoredRecord

__all__ = ["OpenTelemetry", "Tracing", "configured"]

_NAME = "contactbus"
_OPERATION_TYPE = "messaging.operation.type"
_OPERATION_NAME = "messaging.operation.name"
_SYSTEM = "messaging.system"
_TOPIC = "messaging.destination.name"
_PARTITION = "messaging.destination.partition.id"
_GROUP = "messaging.consumer.group.name"
_MESSAGE = "messaging.message.id"
_OFFSET = "messaging.kafka.offset"
_ERROR = "error.type"


class Tracing(Protocol):
    """Makes a span of each decision."""

    def deciding(self, group: str, record: StoredRecord) -> AbstractContextManager[str]:
        """While a record is decided; gives the `traceparent` of what follows from it, or nothing to keep its own."""
        ...


class OpenTelemetry:
    """See `Tracing`. A span belongs to the trace of its record and is linked to the hop that made the record."""

    def __init__(self, provider: Any = None) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace: Any = trace
        self._tracer: Any = trace.get_tracer(_NAME, tracer_provider=provider)
        self._propagator: Any = TraceContextTextMapPropagator()

    @contextmanager
    def deciding(self, group: str, record: StoredRecord) -> Generator[str]:
        trace = self._trace
        context = self._propagator.extract(dict(record.headers))
        maker = trace.get_current_span(context).get_span_context()
        span = self._tracer.start_span(
            f"process {record.topic}",
            context=context,
            kind=trace.SpanKind.CONSUMER,
            links=[trace.Link(maker)] if maker.is_valid else [],
            attributes={
                _SYSTEM: _NAME,
                _OPERATION_TYPE: "process",
                _OPERATION_NAME: "process",
                _TOPIC: record.topic,
                _PARTITION: str(record.partition),
                _GROUP: group,
                _MESSAGE: record.id,
                _OFFSET: record.offset,
            },
        )
        carrier: dict[str, str] = {}
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            self._propagator.inject(carrier)
            try:
                yield carrier.get("traceparent", "")
            except BaseException as error:
                span.set_attribute(_ERROR, type(error).__name__)
                span.set_status(trace.StatusCode.ERROR)
                raise


def configured() -> Tracing | None:
    """The tracing that was set up for this process before it started, or None. Imports nothing by itself."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None or isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    return OpenTelemetry()
