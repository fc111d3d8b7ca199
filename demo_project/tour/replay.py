from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator

import httpx

from demo_project.tour.client import NotJudged, Probe, Service, at_once, body, unique

TITLE = "Request replay"
ABOUT = "A request is recorded and sent again, sixteen copies at once. The money must move once."


def attack(service: Service) -> Iterator[Probe]:
    """Send a captured transfer and a captured payout again, one after another and all at once."""
    with service.client("alice") as alice:
        for name, repeat in (("3 in a row", _in_a_row), ("16 at once", at_once)):
            memo = unique("replayed")
            answers = repeat(_transfer(alice, memo))
            yield _judged(f"one Idempotency-Key, {name}", "transfer", answers, alice, {"memo": memo})
        for name, repeat in (("3 in a row", _in_a_row), ("16 at once", at_once)):
            destination = unique("replayed")
            answers = repeat(_payout(alice, destination))
            yield _judged(f"one nonce, {name}", "payout", answers, alice, {"to": destination})


def _in_a_row(call: Callable[[], httpx.Response]) -> list[httpx.Response]:
    return [call() for _ in range(3)]


def _transfer(client: httpx.Client, memo: str) -> Callable[[], httpx.Response]:
    headers = {"Idempotency-Key": secrets.token_hex(16)}
    return lambda: client.post("/api/transfers", headers=headers, json={"to": "bob", "amount": 1, "memo": memo})


def _payout(client: httpx.Client, destination: str) -> Callable[[], httpx.Response]:
    headers = {"X-Request-Timestamp": str(int(time.time())), "X-Request-Nonce": secrets.token_hex(16)}
    return lambda: client.post("/api/payouts", headers=headers, json={"to": destination, "amount": 1})


def _judged(
    name: str, effect: str, answers: list[httpx.Response], client: httpx.Client, filters: dict[str, str]
) -> Probe:
    # Counted in the ledger, not in the responses: an effect behind an error response is still an effect.
    count = body(client.get(f"/api/{effect}s", params=filters))["count"]
    statuses = Counter(answer.status_code for answer in answers)
    seen = ", ".join(f"{number} x {status}" for status, number in sorted(statuses.items()))
    if count == 0:
        raise NotJudged(f"no {effect} went through: {seen}")
    return Probe(name, count > 1, f"{count} {effect}{'s' if count > 1 else ''}: {seen}")
