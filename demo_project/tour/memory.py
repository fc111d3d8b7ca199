from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from demo_project.tour.client import THREADS, NotJudged, Probe, Service, at_once, body
from securecore.installation import certificates

TITLE = "Memory leak"
ABOUT = "Two hundred certificates that nobody knows are presented. The memory of the service must stay bounded."

#: More certificates than both workers of the protected service hold together, 64 each.
CERTIFICATES = 200


def attack(service: Service) -> Iterator[Probe]:
    """Present certificates that the authority signed and the service does not know, one request each."""
    before = _processes(service)
    with tempfile.TemporaryDirectory() as folder:
        names = _mint(service, Path(folder))
        with ThreadPoolExecutor(max_workers=THREADS) as pool:
            list(pool.map(lambda name: _show(service, name, Path(folder)), names))
    after = _processes(service)
    held, held_before = (sum(seen["held"] for seen in processes.values()) for processes in (after, before))
    limit = next(iter(after.values()))["limit"]
    fell = limit is None or any(seen["held"] > limit for seen in after.values())
    if limit is None and held <= held_before:
        raise NotJudged(f"{held_before} certificates held before, {held} after")
    bound = "no limit" if limit is None else f"at most {limit} in each of {len(after)}"
    evidence = f"{held_before} held, then {held}: {bound}"
    yield Probe(f"{CERTIFICATES} new certificates", fell, evidence)


def _processes(service: Service) -> dict[int, Any]:
    """Return the memory report of each worker. The worker that answers is chance, so many requests ask."""

    def ask() -> Any:
        with service.client("carol") as carol:
            return body(carol.get("/api/debug/memory"))

    return {seen["process"]: seen for seen in at_once(ask) + at_once(ask)}


def _mint(service: Service, folder: Path) -> list[str]:
    try:
        authority = certificates.load_authority(service.pki)
    except OSError as error:
        raise NotJudged(f"no authority to sign certificates with: {error}") from error
    names = [f"passer-by-{number}" for number in range(CERTIFICATES)]
    for name in names:
        certificates.issue(folder, name, now=dt.datetime.now(dt.UTC), authority=authority)
    return names


def _show(service: Service, name: str, folder: Path) -> None:
    with service.client(name, folder=folder) as stranger:
        response = stranger.get("/api/whoami")
    # The service may refuse these certificates. Only the TLS handshake must have accepted them.
    if response.status_code not in (401, 403):
        raise NotJudged(f"a new certificate was answered {response.status_code}")
