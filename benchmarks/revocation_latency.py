"""Measure the time of a revocation while its principal has 64 requests in flight, with the advisory and the row gate.

    python -m tests.support.postgres -- python -m benchmarks.revocation_latency [--revocations N] [--effect MS]
        [--think MS]
    python -m tests.support.postgres -- python -m benchmarks.revocation_latency --prepared      with prepare_threshold
    python -m tests.support.postgres -- python -m benchmarks.revocation_latency --at-once 1000  without the semaphore
    python -m tests.support.postgres -- python -m benchmarks.revocation_latency --slow-body     beside a slow client

Four processes of sixteen threads check and have effects as fast as they can. Each effect takes ``--effect``
milliseconds. A fifth process grants the permission and revokes it. Both gates run in turn within each round, so that a
slow machine slows both. With ``--think`` each of the 64 threads waits for about that long between two requests: the
principal is busy, but the machine has free capacity. The cost of one check is measured before, without load.

With ``--slow-body`` one thread of each process sends requests to a view under ``@requires`` instead. Their bodies come
at one byte a second.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import random
import statistics
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import django
import psutil

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.signals import setting_changed  # noqa: E402
from django.db import connection, connections  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.test import RequestFactory  # noqa: E402
from django.test.utils import setup_databases, teardown_databases  # noqa: E402

from securecore import clock, grants  # noqa: E402
from securecore.errors import Refused  # noqa: E402
from securecore.grants.gate import semaphore  # noqa: E402
from securecore.http.decorators import requires  # noqa: E402
from securecore.revocation import revoke_grant  # noqa: E402

PERMISSION = "things.make"
PROCESSES, THREADS = 4, 16
GATES = ("advisory", "row")
CHECKS = 2_000  # one after another, to measure the cost of one check
AT_REST = 0.05  # seconds between two revocations, in which the load recovers


def choose(gate: str) -> None:
    settings.SECURECORE |= {"GATE": gate, "LOCK_TIMEOUT": 30.0}
    setting_changed.send(choose, setting="SECURECORE", value=settings.SECURECORE, enter=True)


def cost(principal: str, gate: str) -> tuple[float, float]:
    """Return the microseconds of CPU of one check without effect: Python's and PostgreSQL's."""
    choose(gate)

    def check() -> None:
        with grants.authorize(principal, PERMISSION, clock=clock.now):
            pass

    def spent() -> tuple[float, float]:
        times = psutil.Process(connection.connection.info.backend_pid).cpu_times()
        return time.process_time(), times.user + times.system

    for _ in range(100):
        check()
    before = spent()
    for _ in range(CHECKS):
        check()
    return tuple((now - then) / CHECKS * 1e6 for then, now in zip(before, spent(), strict=True))  # type: ignore[return-value]


class SlowBody:
    """A connection that delivers one byte a second until the measurement ends."""

    def __init__(self, over: Any) -> None:
        self._over = over

    def read(self, size: int = -1) -> bytes:
        return b"" if self._over.wait(1) else b"x"

    readline = read


def send_slowly(user: User, over: Any) -> None:
    """Send a request with a slow body to a view under ``@requires``."""

    @requires(PERMISSION)
    def view(request: Any) -> HttpResponse:
        return HttpResponse(request.body)

    request: Any = RequestFactory().post("/", **{"wsgi.input": SlowBody(over), "CONTENT_LENGTH": "100000"})  # type: ignore[arg-type]
    request.user, request.client_certificate, request.certificate_user = user, None, user
    with suppress(Refused):
        view(request)


def load(principal: str, gate: str, effect: float, think: float, slow_body: bool, over: Any, done: Any) -> None:
    connections.close_all()
    choose(gate)
    counts = []

    def work() -> None:
        count = 0
        while not over.is_set():
            try:
                with grants.authorize(principal, PERMISSION, clock=clock.now), connection.cursor() as cursor:
                    cursor.execute("SELECT pg_sleep(%s)", [effect])
                count += 1
                time.sleep(random.uniform(0, 2 * think))
            except Refused:
                time.sleep(0.001)  # denied until the permission is granted again
        counts.append(count)
        connection.close()

    def work_slowly() -> None:
        while not over.is_set():
            send_slowly(user, over)
        connection.close()

    user = User.objects.get()
    connections.close_all()
    threads = [threading.Thread(target=work) for _ in range(THREADS - slow_body)]
    threads += [threading.Thread(target=work_slowly) for _ in range(slow_body)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with done.get_lock():
        done.value += sum(counts)


@dataclass
class Measured:
    """The measurements under one gate."""

    #: Microseconds of CPU for one check, in Python and in PostgreSQL.
    cost: tuple[float, float]
    #: Milliseconds of each revocation, checks that held the gate at its beginning, and checks a second.
    waited: list[float] = field(default_factory=list)
    holders: list[int] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        p50, p95 = statistics.median(self.waited), statistics.quantiles(self.waited, n=20)[-1]
        holders = f"{statistics.median(self.holders):.0f} in   " if self.holders else ""
        return (
            f"revocation p50 {p50:6.1f}  p95 {p95:6.1f}  max {max(self.waited):6.1f} ms   "
            f"{holders}{statistics.median(self.rates):.0f} checks/s   "
            f"one check: Python {self.cost[0]:4.0f}, PostgreSQL {self.cost[1]:4.0f} us"
        )


def measure(
    principal: str, gate: str, effect: float, think: float, slow_body: bool, revocations: int, measured: Measured
) -> None:
    """Revoke ``revocations`` times under load, and add the figures to ``measured``."""
    context = multiprocessing.get_context("fork")
    over, done = context.Event(), context.Value("i", 0)
    connections.close_all()
    load_args = (principal, gate, effect, think, slow_body, over, done)
    workers = [context.Process(target=load, args=load_args) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    choose(gate)
    time.sleep(1)
    started = time.perf_counter()
    for _ in range(revocations):
        grants.grant(principal=principal, permission=PERMISSION, now=clock.now())
        time.sleep(AT_REST)
        if gate == "advisory":  # one check at a time holds a row gate
            measured.holders.append(holders())
        began = time.perf_counter()
        revoke_grant(principal=principal, permission=PERMISSION)
        measured.waited.append((time.perf_counter() - began) * 1e3)
    seconds = time.perf_counter() - started
    over.set()
    for worker in workers:
        worker.join()
    measured.rates.append(done.value / seconds)


def holders() -> int:
    """Return the number of checks that hold the gate now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted")
        return int(cursor.fetchone()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--revocations", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--effect", type=float, default=2.0, help="milliseconds")
    parser.add_argument("--think", type=float, default=0.0, help="milliseconds between two requests, on average")
    parser.add_argument("--at-once", type=int, default=semaphore.AT_ONCE, help="threads of a process at the gate")
    parser.add_argument("--prepared", action="store_true")
    parser.add_argument("--slow-body", action="store_true")
    chosen = parser.parse_args()
    semaphore.AT_ONCE = chosen.at_once
    if chosen.prepared:
        connection.settings_dict.setdefault("OPTIONS", {}).update(server_side_binding=True, prepare_threshold=5)
    logging.disable(logging.CRITICAL)  # every denial is an event
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        principal = grants.principal_of(User.objects.create_user("alice"))
        grants.grant(principal=principal, permission=PERMISSION, now=clock.now())
        measured = {gate: Measured(cost(principal, gate)) for gate in GATES}
        revoke_grant(principal=principal, permission=PERMISSION)
        each, effect, think = chosen.revocations // chosen.rounds, chosen.effect / 1e3, chosen.think / 1e3
        for number in range(chosen.rounds):
            for gate in sorted(GATES, reverse=bool(number % 2)):
                measure(principal, gate, effect, think, chosen.slow_body, each, measured[gate])
        print(
            f"{PROCESSES * THREADS} requests of one principal in flight, effects of {chosen.effect:g} ms, "
            f"{chosen.think:g} ms between them, {'' if chosen.prepared else 'not '}prepared, "
            f"{chosen.at_once} at the gate"
        )
        for gate in GATES:
            print(f"{gate:9} {measured[gate]}")
    finally:
        connections.close_all()
        teardown_databases(databases, verbosity=0)


if __name__ == "__main__":
    main()
