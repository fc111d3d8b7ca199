"""How long a revocation waits while its principal keeps 64 requests in flight: the advisory gate beside the row gate.

    python -m tests.postgres -- python -m benchmarks.revocation_latency [--revocations N] [--effect MS] [--think MS]
    python -m tests.postgres -- python -m benchmarks.revocation_latency --unprepared    as behind PgBouncer

Four processes of sixteen threads check and have effects as fast as they can, each effect open for ``--effect``
milliseconds; a fifth process gives the permission and revokes it. Both gates in turn within each round, so that
whatever slows the machine slows both. With ``--think`` each of the 64 waits that long, more or less, between two
requests: a busy principal, but not one that takes all that the machine has.
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
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.db import connection, connections  # noqa: E402
from django.test.utils import setup_databases, teardown_databases  # noqa: E402

from securecore import clock, grants  # noqa: E402
from securecore.errors import Refused  # noqa: E402
from securecore.revocation import revoke_grant  # noqa: E402

PERMISSION = "things.make"
PROCESSES, THREADS = 4, 16
GATES = ("advisory", "row")
AT_REST = 0.05  # seconds between two revocations, in which the load comes back


def choose(gate: str) -> None:
    settings.SECURECORE |= {"GATE": gate, "LOCK_TIMEOUT": 30.0}
    from securecore import conf

    conf._loaded.cache_clear()


def load(principal: str, gate: str, effect: float, think: float, over: Any, done: Any) -> None:
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
                time.sleep(0.001)  # denied for the moment that the permission is away
        counts.append(count)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with done.get_lock():
        done.value += sum(counts)


def latencies(principal: str, gate: str, effect: float, think: float, revocations: int) -> tuple[list[float], float]:
    """Return the milliseconds of each revocation, and the checks a second meanwhile."""
    context = multiprocessing.get_context("fork")
    over, done = context.Event(), context.Value("i", 0)
    connections.close_all()
    load_args = (principal, gate, effect, think, over, done)
    workers = [context.Process(target=load, args=load_args) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    choose(gate)
    time.sleep(1)
    started, waited = time.perf_counter(), []
    for _ in range(revocations):
        grants.grant(principal=principal, permission=PERMISSION, now=clock.now())
        time.sleep(AT_REST)
        began = time.perf_counter()
        revoke_grant(principal=principal, permission=PERMISSION)
        waited.append((time.perf_counter() - began) * 1e3)
    seconds = time.perf_counter() - started
    over.set()
    for worker in workers:
        worker.join()
    return waited, done.value / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--revocations", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--effect", type=float, default=2.0, help="milliseconds")
    parser.add_argument("--think", type=float, default=0.0, help="milliseconds between two requests, on average")
    parser.add_argument("--unprepared", action="store_true")
    chosen = parser.parse_args()
    if not chosen.unprepared:  # as docs/access.md has it
        connection.settings_dict.setdefault("OPTIONS", {})["prepare_threshold"] = 5
    logging.disable(logging.CRITICAL)  # every denial is an event
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        principal = grants.principal_of(User.objects.create_user("alice"))
        waited: dict[str, list[float]] = {gate: [] for gate in GATES}
        rates: dict[str, list[float]] = {gate: [] for gate in GATES}
        for number in range(chosen.rounds):
            for gate in sorted(GATES, reverse=bool(number % 2)):
                revocations = chosen.revocations // chosen.rounds
                each, rate = latencies(principal, gate, chosen.effect / 1e3, chosen.think / 1e3, revocations)
                waited[gate] += each
                rates[gate].append(rate)
        print(
            f"{PROCESSES * THREADS} requests of one principal in flight, effects of {chosen.effect:g} ms, "
            f"{chosen.think:g} ms between them, {'un' * chosen.unprepared}prepared"
        )
        for gate in GATES:
            p50, p95 = statistics.median(waited[gate]), statistics.quantiles(waited[gate], n=20)[-1]
            print(
                f"{gate:9}  revocation p50 {p50:7.1f} ms  p95 {p95:7.1f} ms  max {max(waited[gate]):7.1f} ms   "
                f"{statistics.median(rates[gate]):6.0f} checks/s"
            )
    finally:
        connections.close_all()
        teardown_databases(databases, verbosity=0)


if __name__ == "__main__":
    main()
