"""OpenTelemetry spans around gates, revocations and the one query."""

from __future__ import annotations

import itertools
import time
from importlib import import_module
from typing import Any

import pytest
from django.contrib.auth.models import User

from securecore import meters, revocation

trace = pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk")

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def exporter() -> Any:
    from opentelemetry import trace as api
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), trace.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    api.set_tracer_provider(provider)
    import_module("securecore.metrics.spans").forget_provider()
    return exporter


def test_revocation_is_a_span_with_its_gate_inside(exporter: Any, users: dict[str, User]) -> None:
    exporter.clear()
    revocation.revoke_user_tokens(users["bob"])
    gate, whole = exporter.get_finished_spans()
    assert (gate.name, whole.name) == ("securecore.gate_wait", "securecore.revocation")
    assert gate.parent.span_id == whole.context.span_id
    assert whole.attributes["securecore.label"] == "revoke_user_tokens"


def test_no_span_is_opened_until_the_project_has_a_provider(
    exporter: Any, users: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry import trace as api

    spans, unset, looks = import_module("securecore.metrics.spans"), api.ProxyTracerProvider(), itertools.count()
    monkeypatch.setattr(api, "get_tracer_provider", lambda: (next(looks), unset)[1])
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    spans.forget_provider()
    exporter.clear()
    for _ in range(3):
        revocation.revoke_user_tokens(users["bob"])
    assert not exporter.get_finished_spans()
    assert next(looks) == 1, "each look takes as long as three counters"
    monkeypatch.undo()
    revocation.revoke_user_tokens(users["bob"])
    assert exporter.get_finished_spans(), "a provider that is set later counts"


def test_meter_without_receivers_measures_nothing() -> None:
    off = meters.Meter("off", "", "label", is_time=True)
    assert off.timed("a") is off.timed("b")
    with off.timed("a"):
        off.add("a")
    assert not off.is_on


def test_meter_reports_the_time_of_a_block_that_raises() -> None:
    reported: list[tuple[float, str]] = []
    meter = meters.Meter(
        "on", "", "label", is_time=True, receivers=[lambda value, label: reported.append((value, label))]
    )
    with pytest.raises(ZeroDivisionError), meter.timed("a"):
        raise ZeroDivisionError
    assert [label for _, label in reported] == ["a"]
    assert reported[0][0] > 0
