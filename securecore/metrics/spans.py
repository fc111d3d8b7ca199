"""Spans for OpenTelemetry around each timed meter. Needs the package ``opentelemetry-api``.

The project configures the SDK and the exporter; without an SDK the API's spans do nothing.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from opentelemetry import trace

from securecore import actors, meters


def connect() -> None:
    """Add a tracer to each timed meter, once in a process."""
    tracer = trace.get_tracer("securecore")

    def span(name: str, label: str) -> AbstractContextManager[object]:
        # The name is low in cardinality; the request id joins the span with the logs.
        attributes = {"securecore.label": label, "securecore.request_id": actors.actor().request_id}
        return tracer.start_as_current_span(f"securecore.{name.removesuffix('_seconds')}", attributes=attributes)

    for meter in meters.EVERY_METER:
        if meter.is_time and not meter.tracers:
            meter.tracers.append(span)
