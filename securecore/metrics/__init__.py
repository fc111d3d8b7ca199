"""Metrics for Prometheus and spans for OpenTelemetry, from ``securecore.meters``, events and the database."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from securecore import events, meters

#: Whether the packages are installed. The extra ``metrics`` installs the first.
HAS_PROMETHEUS = find_spec("prometheus_client") is not None
HAS_OPENTELEMETRY = find_spec("opentelemetry") is not None


def connect() -> None:
    """Add the receivers of the installed packages. Without a package nothing is connected, and nothing is measured."""
    if HAS_PROMETHEUS:
        import_module("securecore.metrics.prometheus").connect()
        events.happened.connect(_count, dispatch_uid="securecore.metrics")
    if HAS_OPENTELEMETRY:
        import_module("securecore.metrics.spans").connect()


def exposition() -> tuple[bytes, str]:
    """Return every metric in Prometheus' text format, and its content type. Needs ``prometheus_client``."""
    prometheus = import_module("securecore.metrics.prometheus")
    return prometheus.exposition(), prometheus.CONTENT_TYPE


def _count(*, event: events.Event, **_: Any) -> None:
    meters.EVENTS.add(event.name)
    if isinstance(event, events.RequestRefused):
        meters.REFUSED.add(event.code)
