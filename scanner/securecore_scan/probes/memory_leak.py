"""A client that nobody saw before, and another, and another.

Each visit is a new TLS connection, with a certificate of its own where the plan names an authority (or several
certificates). After a warm-up memory is read after each block of visits, and judged after each stretch of blocks: by
the median of all pairwise slopes between blocks, with its 95 % interval, so that one noisy block moves neither, and by
how the later half compares with the earlier one, so that a cache which fills up is no leak (estimates.py, Note [Later
and earlier]). Last, visits with one certificate say whether it is kept for each certificate or for each connection.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

import httpx

from securecore_scan.client.memory import Source
from securecore_scan.client.minting import Mint
from securecore_scan.client.target import Target
from securecore_scan.client.wire import Request
from securecore_scan.estimates import STRETCH, Course
from securecore_scan.plan import Identity
from securecore_scan.verdict import Check, NotJudged, Seen, Severity, Skipped, fell, held, unclear

#: Visits to warm up, and visits between two readings.
WARM_UP, VISITS = 160, 20
#: Stretches of readings after which it cannot be told.
STRETCHES = 6
#: Visits at a time.
THREADS = 4


def growth(target: Target) -> Iterator[Seen]:
    """Watch memory under new connections. Works if it grows by more than the threshold for each, and goes on so."""
    if not target.wire.is_tls:
        raise Skipped("plain http has no certificates, and no handshakes")
    source, threshold = Source(target), target.plan.memory.threshold
    with _visitors(target) as (what, visitors):
        source.total()
        _visit(target, visitors, target.rounds(WARM_UP))
        source.settle()
        course = Course(target.rounds(VISITS))
        while _goes_on(target, course):
            _watch(target, source, visitors, course)
        said = f"{course} new connections {what}, after {target.rounds(WARM_UP)} to warm up ({source.name})"
        if not course.is_steady(threshold):
            if course.is_flat(threshold):
                yield held(target.wire.origin, f"no steady growth was seen: {said}")
            else:
                yield unclear(target.wire.origin, f"neither at rest nor growing steadily: {said}")
            return
        control = Course(course.steps // 2)
        _watch(target, source, cycle([target.wire.identity("owner")]), control)
    kept = "connection" if control.later.low > threshold else "certificate"
    yield fell(
        target.wire.origin,
        f"memory grows by {said}",
        f"with one certificate: {control} connections, so it is kept for each {kept}",
        "a cache with room for more than these looks the same",
    )


def _goes_on(target: Target, course: Course) -> bool:
    """Say whether another stretch is needed, and whether there is room for it."""
    threshold, stretches = target.plan.memory.threshold, len(course.readings) // STRETCH
    if course.readings and (course.is_flat(threshold) or course.is_steady(threshold)):
        return False
    # The first is begun in any case: a scan that ends within it says so itself.
    return stretches == 0 or (stretches < STRETCHES and target.wire.budget.allows(course.steps * STRETCH))


def _watch(target: Target, source: Source, visitors: Iterator[Identity | None], course: Course) -> None:
    for _ in range(STRETCH):
        _visit(target, visitors, course.steps)
        course.readings.append(source.total())


def _visit(target: Target, visitors: Iterator[Identity | None], number: int) -> None:
    request = Request("GET", target.plan.memory.visit or target.plan.session.read or "/")

    def one(identity: Identity | None) -> int:
        return target.wire.visit(identity, request).status_code

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        try:
            statuses = list(pool.map(one, islice(visitors, number)))
        except httpx.HTTPError as error:
            raise NotJudged(
                f"a new connection failed: {type(error).__name__}; are the certificates believed?"
            ) from None
    # Nobody knows them, and that is not the question here: 401 and 403 are answers too.
    if sum(status >= 500 for status in statuses) * 2 > number:
        raise NotJudged("most visits were answered 5xx")


@contextmanager
def _visitors(target: Target) -> Iterator[tuple[str, Iterator[Identity | None]]]:
    memory = target.plan.memory
    if memory.ca_cert and memory.ca_key:
        with tempfile.TemporaryDirectory(prefix="securecore-scan-") as folder:
            yield "with new certificates", iter(Mint(Path(folder), ca_cert=memory.ca_cert, ca_key=memory.ca_key))
    elif len(memory.certificates) > 1:
        yield f"with {len(memory.certificates)} certificates in turn", cycle(memory.certificates)
    else:
        yield (
            "with one certificate (name an authority for more: [memory] ca_cert, ca_key)",
            cycle([target.wire.identity("owner")]),
        )


CHECKS = (
    Check(
        "SC-LEAK-1",
        "Memory under ever new clients",
        category="memory-leak",
        severity=Severity.MEDIUM,
        cwe=(401, 770),
        owasp="API4:2023",
        asvs=("15.2.2",),
        risk="A client that renews its certificate often, or one that has many, ends the process.",
        remedy="Bound every cache in number and in time, keep nothing by connection or fingerprint beyond the request.",
        securecore="CERTIFICATE_CACHE_SIZE; request.client_certificate lives as long as the request",
        run=growth,
    ),
)
