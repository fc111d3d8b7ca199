from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

from demo_project.tour.client import THREADS, NotJudged, Probe, Service, body, described, unique

TITLE = "Authorization race"
ABOUT = "A permission is revoked while sixteen threads use it. No transfer may begin after the revocation returned."

ROUNDS = 3
#: The shortest time of transfers before each revocation and after its response, in seconds.
BEFORE, AFTER = 0.4, 0.6
#: The longest wait on a slow machine, in seconds. The twin's cache of permissions alone may take five.
PATIENCE = 15.0


def attack(service: Service) -> Iterator[Probe]:
    """Let bob transfer in 16 threads while carol revokes his permission. A transfer that appears after her response
    outran it.
    """
    outrun = tried = 0
    with service.client("carol") as carol, service.client("bob") as bob:
        for _ in range(ROUNDS):
            try:
                _allow(carol, bob)
                succeeded, answered = _round(carol, bob)
            finally:
                _change(carol, "grant")
            outrun += succeeded
            tried += answered
    yield Probe(f"{ROUNDS} revocations under {THREADS} threads", outrun > 0, f"{outrun} of {tried} outran them")


@dataclass
class Attempt:
    """One transfer: when it began and ended, and the status of its response."""

    began: float
    ended: float
    status: int


@dataclass
class Hammer:
    """Transfers of one cent from bob to alice, in a loop."""

    bob: httpx.Client
    memo: str = field(default_factory=lambda: unique("race"))
    stop: threading.Event = field(default_factory=threading.Event)
    attempts: list[Attempt] = field(default_factory=list)

    def run(self) -> None:
        while not self.stop.is_set():
            began = time.monotonic()
            response = _transfer(self.bob, self.memo)
            self.attempts.append(Attempt(began, time.monotonic(), response.status_code))

    def count(self, *, began_after: float = 0.0, status: int | None = None) -> int:
        """Count the decided attempts that began after this instant, or only those with this status."""
        decided = [attempt for attempt in list(self.attempts) if attempt.status < httpx.codes.INTERNAL_SERVER_ERROR]
        return sum(attempt.began > began_after and status in (None, attempt.status) for attempt in decided)

    def await_attempts(self, seconds: float, *, began_after: float = 0.0, status: int | None = None) -> None:
        """Wait this long, and until there are as many such attempts as threads. Raises ``NotJudged``."""
        time.sleep(seconds)
        until = time.monotonic() + PATIENCE
        while (found := self.count(began_after=began_after, status=status)) < THREADS:
            if time.monotonic() > until:
                raise NotJudged(f"too slow for a race: {found} transfers in {seconds + PATIENCE:.0f} s")
            time.sleep(0.05)


def _round(carol: httpx.Client, bob: httpx.Client) -> tuple[int, int]:
    """Return the number of transfers that outran the revocation, and the number that ended after its response."""
    hammer = Hammer(bob)
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        threads = [pool.submit(hammer.run) for _ in range(THREADS)]
        try:
            hammer.await_attempts(BEFORE, status=httpx.codes.CREATED)
            _change(carol, "revoke")
            answered = time.monotonic()
            # A transfer that is in the ledger now may have been there before the response. A later one was not.
            ledger = _count(carol, hammer.memo)
            hammer.await_attempts(AFTER, began_after=answered)
        finally:
            hammer.stop.set()
        for thread in threads:
            thread.result()
    # Reading the ledger takes time, so two counts are compared: the growth of the ledger, and the successes that began
    # later.
    gained = _count(carol, hammer.memo) - ledger
    succeeded = hammer.count(began_after=answered, status=httpx.codes.CREATED)
    return max(gained, succeeded), sum(attempt.ended > answered for attempt in hammer.attempts)


def _allow(carol: httpx.Client, bob: httpx.Client) -> None:
    _change(carol, "grant")
    until = time.monotonic() + PATIENCE
    while (response := _transfer(bob, unique("warm-up"))).status_code != 201:
        if time.monotonic() > until:
            raise NotJudged(f"bob may not transfer: {described(response)}")
        time.sleep(0.2)


def _transfer(bob: httpx.Client, memo: str) -> httpx.Response:
    order = {"to": "alice", "amount": 1, "memo": memo}
    return bob.post("/api/transfers", headers={"Idempotency-Key": unique("race")}, json=order)


def _change(carol: httpx.Client, move: str) -> None:
    order = {"principal": "bob", "permission": "transfers.create"}
    until = time.monotonic() + PATIENCE
    # 503 means that nothing was decided, so an administrator sends the request again.
    while (response := carol.post(f"/api/admin/grants/{move}", json=order)).status_code == 503:
        if time.monotonic() > until:
            break
    body(response)


def _count(client: httpx.Client, memo: str) -> int:
    return int(body(client.get("/api/transfers", params={"memo": memo}))["count"])
