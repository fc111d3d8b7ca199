"""Measure the cost of an audit row in an idempotent POST, and of metrics in a GET.

    python -m tests.support.postgres -- python -m benchmarks.audit_cost [--rounds N]

One process, one PostgreSQL. The POST that gives a grant is measured with its audit row, and with a ``report`` that only
emits the event. The smallest POST inserts one row of its own; a second measurement of it adds one audit row. A request
passes through Django's whole handler with a client certificate. Each round measures all variants in turn, so that a
slow machine slows all of them; the figures are medians of the rounds' ratios. Metrics are measured with the receivers
of Prometheus, if prometheus-client is installed, and without them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.audit_settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.handlers.base import BaseHandler  # noqa: E402
from django.db import transaction  # noqa: E402
from django.test import RequestFactory  # noqa: E402
from django.test.utils import setup_databases, teardown_databases  # noqa: E402

from securecore import audit, clock, events, meters, metrics  # noqa: E402
from securecore.identity import enroll, parse_pem  # noqa: E402
from securecore.testing import Authority  # noqa: E402

Call = Callable[[], Any]
BARE_GET = "a GET without metrics"
UNAUDITED = "a grant without its audit row"
CALLS = 50  # requests in a measurement


@contextmanager
def unmeasured() -> Iterator[None]:
    """Take the receivers and tracers off every meter, as without the packages."""
    kept = [(meter, meter.receivers, meter.tracers) for meter in meters.EVERY_METER]
    for meter in meters.EVERY_METER:
        meter.receivers, meter.tracers = [], []
    try:
        yield
    finally:
        for meter, receivers, tracers in kept:
            meter.receivers, meter.tracers = receivers, tracers


@contextmanager
def unaudited() -> Iterator[None]:
    """Let ``audit.report`` emit the event alone."""
    kept: Any = audit.report  # type: ignore[attr-defined]

    def emitted(event: events.Event) -> None:
        transaction.on_commit(partial(events.emit, event))

    audit.report = emitted  # type: ignore[attr-defined]
    try:
        yield
    finally:
        audit.report = kept  # type: ignore[attr-defined]


#: The variants from which a part is taken away.
LESS: dict[str, Callable[[], AbstractContextManager[None]]] = {BARE_GET: unmeasured, UNAUDITED: unaudited}


def microseconds(call: Call) -> float:
    started = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - started) / CALLS * 1e6


def calls() -> dict[str, Call]:
    certificate = Authority().issue("alice")
    enroll(certificate=parse_pem(certificate.pem), user=User.objects.create_user("alice"), now=clock.now())
    handler, factory = BaseHandler(), RequestFactory(**certificate.environ)
    handler.load_middleware()

    def post(name: str) -> None:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        request: Any = factory.post(f"/{name}", "{}", "application/json", secure=True, headers=headers)
        response = handler.get_response(request)
        assert response.status_code == 201, response.content

    def get() -> None:
        request: Any = factory.get("/get", secure=True)
        assert handler.get_response(request).status_code == 200

    return {
        UNAUDITED: lambda: post("granting"),
        "the same with its row": lambda: post("granting"),
        "the smallest idempotent POST": lambda: post("plain"),
        "the same and one audit row": lambda: post("audited"),
        BARE_GET: get,
        "the same with metrics": get,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        variants = calls()
        figures: dict[str, list[float]] = {name: [] for name in variants}
        for call in variants.values():
            microseconds(call)
        for number in range(rounds):
            for name in sorted(variants, reverse=bool(number % 2)):
                with LESS.get(name, nullcontext)():
                    figures[name].append(microseconds(variants[name]))
    finally:
        teardown_databases(databases, verbosity=0)
    for name, found in figures.items():
        print(f"{name:30} {statistics.median(found):6.0f} us")
    grant, audited, post, row, bare, measured = figures.values()
    print(f"\naudit row of a grant: {_added(audited, grant):+.1f} %")
    print(f"audit row beside the smallest POST: {_added(row, post):+.1f} %")
    absent = "" if metrics.HAS_PROMETHEUS else " (prometheus-client is not installed)"
    print(f"metrics{absent}: {_added(measured, bare):+.1f} %")


def _added(variant: list[float], base: list[float]) -> float:
    return (statistics.median(v / b for v, b in zip(variant, base, strict=True)) - 1) * 100


if __name__ == "__main__":
    main()
