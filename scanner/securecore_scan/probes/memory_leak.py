"""Memory of the service under many new TLS connections.

Each visit is a new connection, with a new certificate if the plan names an authority. After a warm-up, memory is read
after each block of visits and judged after each 8 readings, by the median of all pairwise slopes. A cache that fills up
is told from a leak by its growth: see Note [Later and earlier half] in growth.py. In the end, visits with one
certificate show whether the service keeps memory per certificate or per connection.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

import httpx

from securecore_scan.checks import Check, Severity
from securecore_scan.client.certificates import CertificateIssuer
from securecore_scan.client.memory import MemorySource
from securecore_scan.client.request import Request
from securecore_scan.client.target import Target
from securecore_scan.growth import STRETCH, GrowthCurve
from securecore_scan.outcomes import Inconclusive, NotApplicable, Outcome, failed, inconclusive, passed
from securecore_scan.plan import Identity

#: Visits before the first reading, and visits between two readings.
WARM_UP, VISITS = 160, 20
#: Stretches of readings after which the check gives up with INCONCLUSIVE.
STRETCHES = 6
#: Concurrent visits.
THREADS = 4


def growth(target: Target) -> Iterator[Outcome]:
    """Read memory while new clients connect. Works if memory grows steadily by more than ``memory.threshold`` each."""
    if not target.transport.is_tls:
        raise NotApplicable("plain http has no certificates and no handshakes")
    source, threshold = MemorySource(target), target.plan.memory.threshold
    with _visitors(target) as (kind, visitors):
        source.total()
        _visit(target, visitors, target.rounds(WARM_UP))
        source.settle()
        curve = GrowthCurve(target.rounds(VISITS))
        while _needs_more(target, curve):
            _read_stretch(target, source, visitors, curve)
        seen = f"{curve} new connections {kind}, after {target.rounds(WARM_UP)} to warm up ({source.name})"
        if not curve.is_steady(threshold):
            if curve.is_flat(threshold):
                yield passed(target.transport.origin, f"no steady growth: {seen}")
            else:
                yield inconclusive(target.transport.origin, f"neither flat nor steadily growing: {seen}")
            return
        control = GrowthCurve(curve.steps // 2)
        _read_stretch(target, source, cycle([target.transport.identity("owner")]), control)
    kept = "connection" if control.later.low > threshold else "certificate"
    yield failed(
        target.transport.origin,
        f"memory grows by {seen}",
        f"with one certificate: {control} connections, so memory is kept for each {kept}",
        "a cache with room for more clients than were shown looks the same",
    )


def _needs_more(target: Target, curve: GrowthCurve) -> bool:
    """Say whether another stretch of readings is needed, and whether the budget allows one."""
    threshold, stretches = target.plan.memory.threshold, len(curve.readings) // STRETCH
    if curve.readings and (curve.is_flat(threshold) or curve.is_steady(threshold)):
        return False
    # The first stretch begins in any case: if the budget ends within it, the scan stops and says so.
    return stretches == 0 or (stretches < STRETCHES and target.transport.budget.has_room_for(curve.steps * STRETCH))


def _read_stretch(
    target: Target, source: MemorySource, visitors: Iterator[Identity | None], curve: GrowthCurve
) -> None:
    for _ in range(STRETCH):
        _visit(target, visitors, curve.steps)
        curve.readings.append(source.total())


def _visit(target: Target, visitors: Iterator[Identity | None], number: int) -> None:
    request = Request("GET", target.plan.memory.visit or target.plan.session.read or "/")

    def visit_once(identity: Identity | None) -> int:
        return target.transport.visit(identity, request).status_code

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        try:
            statuses = list(pool.map(visit_once, islice(visitors, number)))
        except httpx.HTTPError as error:
            raise Inconclusive(
                f"a new connection failed: {type(error).__name__}; does the service trust the certificates?"
            ) from None
    # 401 and 403 are fine: the service need not accept clients that it does not know.
    if sum(status >= 500 for status in statuses) * 2 > number:
        raise Inconclusive("most visits were answered 5xx")


@contextmanager
def _visitors(target: Target) -> Iterator[tuple[str, Iterator[Identity | None]]]:
    memory = target.plan.memory
    if memory.ca_cert and memory.ca_key:
        with tempfile.TemporaryDirectory(prefix="securecore-scan-") as folder:
            issuer = CertificateIssuer(Path(folder), ca_cert=memory.ca_cert, ca_key=memory.ca_key)
            yield "with new certificates", iter(issuer)
    elif len(memory.certificates) > 1:
        yield f"with {len(memory.certificates)} certificates in turn", cycle(memory.certificates)
    else:
        yield (
            "with one certificate (name an authority for more: [memory] ca_cert, ca_key)",
            cycle([target.transport.identity("owner")]),
        )


CHECKS = (
    Check(
        "SC-LEAK-1",
        "Memory under many new clients",
        category="memory-leak",
        severity=Severity.MEDIUM,
        cwe=(401, 770),
        owasp="API4:2023",
        asvs=("15.2.2",),
        risk="A client that renews its certificate often, or has many certificates, exhausts the memory.",
        remedy="Bound every cache in number and time. Keep nothing per connection or fingerprint beyond the request.",
        securecore="a bounded cache of certificates; request.client_certificate lives as long as the request",
        run=growth,
    ),
)
