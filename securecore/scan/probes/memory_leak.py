"""A client that nobody saw before, and another, and another.

Each visit is a new TLS connection, with a certificate of its own where the plan names an authority (or several
certificates). After a warm-up, long enough to fill a bounded cache, memory is read after each block of visits. The
slope is the median of all pairwise slopes between blocks, with its 95 % interval: one noisy block moves neither. If
the interval reaches above the threshold, as many blocks are watched again, since what is a leak still grows, and what
was a cache is full by then; it is a leak if even the lower end is above. Last, visits with one certificate say whether
it is kept for each certificate or for each connection. A cache whose bound is beyond the warm-up looks like a leak.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

import httpx

from securecore.scan.client.memory import Source
from securecore.scan.client.minting import Mint
from securecore.scan.client.target import Target
from securecore.scan.client.wire import Request
from securecore.scan.estimates import Slope, theil_sen
from securecore.scan.plan import Identity
from securecore.scan.verdict import Check, Confidence, NotJudged, Seen, Severity, Skipped, fell, held

WARM_UP, BLOCKS, VISITS = 160, 8, 20
#: Visits at a time.
THREADS = 4


def growth(target: Target) -> Iterator[Seen]:
    """Watch memory under new connections. Works if it grows by more than the threshold for each of them."""
    if not target.wire.is_tls:
        raise Skipped("plain http has no certificates, and no handshakes")
    source, memory = Source(target), target.plan.memory
    with _visitors(target) as (what, visitors):
        source.total()
        _visit(target, visitors, target.rounds(WARM_UP))
        source.settle()
        visits = target.rounds(VISITS)
        slope = _watched(target, source, visitors, visits)
        if slope.high > memory.threshold:
            slope = _watched(target, source, visitors, visits)
        said = (
            f"{_said(slope)} for each of {visits * BLOCKS} new connections {what}, after "
            f"{target.rounds(WARM_UP)} to warm up ({source.name})"
        )
        if slope.low <= memory.threshold:
            sure = Confidence.HIGH if slope.high <= memory.threshold else Confidence.LOW
            yield held(target.wire.origin, f"no steady growth was seen: {said}", confidence=sure)
            return
        control = _watched(target, source, cycle([target.wire.identity("owner")]), visits // 2)
    kept = "connection" if control.low > memory.threshold else "certificate"
    yield fell(
        target.wire.origin,
        f"memory grows by {said}",
        f"with one certificate: {_said(control)}, so it is kept for each {kept}",
    )


def _watched(target: Target, source: Source, visitors: Iterator[Identity | None], visits: int) -> Slope:
    blocks = []
    for _ in range(BLOCKS):
        _visit(target, visitors, visits)
        blocks.append(source.total())
    slope = theil_sen(blocks)
    return Slope(slope.estimate / visits, slope.low / visits, slope.high / visits)


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


def _said(slope: Slope) -> str:
    return f"{slope.estimate:.0f} bytes (95 % interval {slope.low:.0f} to {slope.high:.0f})"


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
