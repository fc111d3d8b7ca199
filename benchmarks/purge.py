"""Measure the purge of expired rows under live traffic, beside one DELETE and the commands of two other packages.

    python -m tests.support.postgres -- python -m benchmarks.purge [--rows 1000000] [--rounds N] [--peers NAME...]

In each round every peer gets a table with that many expired rows, and a tenth as many live ones: securecore's nonces,
Django's sessions, and simplejwt's outstanding tokens. Each purge runs in a process of its own, for the measurement of
its largest memory. The yardstick is one DELETE of the same expired nonces in one transaction. While a purge runs,
another process claims nonces, one after the other, and measures each claim; it does the same before on an idle
database.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import multiprocessing
import os
import resource
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.record_settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection, connections  # noqa: E402
from django.test.utils import override_settings, setup_databases, teardown_databases  # noqa: E402

from securecore import clock, replay  # noqa: E402

#: One statement a peer: rows with the numbers 1 to %(expired)s are expired, the others live for a day. Each row has an
#: instant of its own, as the rows of live traffic have.
_UNTIL = "now() + (CASE WHEN n <= %(expired)s THEN -1 ELSE 1 END) * interval '1 day' + n * interval '1 microsecond'"
_FROM = "FROM generate_series(1, %(all)s) n"
NONCES = f"INSERT INTO securecore_seen_nonce (id, expires_at) SELECT gen_random_uuid(), {_UNTIL} {_FROM}"
SESSIONS = (
    f"INSERT INTO django_session (session_key, session_data, expire_date) "
    f"SELECT md5(n::text), repeat('x', 200), {_UNTIL} {_FROM}"
)
TOKENS = (
    f"INSERT INTO token_blacklist_outstandingtoken (jti, token, created_at, expires_at) "
    f"SELECT md5(n::text), repeat('x', 280), now(), {_UNTIL} {_FROM}"
)
#: Seconds between two claims of the live traffic.
PAUSE = 0.005


def one_delete() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM securecore_seen_nonce WHERE expires_at <= now()")


def securecore_purge() -> None:
    call_command("securecore_purge", stdout=io.StringIO())


def django_clearsessions() -> None:
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.db"):
        call_command("clearsessions", verbosity=0)


#: By the name of the peer: the table, the statement that fills it, and the purge.
PEERS: dict[str, tuple[str, str, Callable[[], None]]] = {
    "one DELETE": ("securecore_seen_nonce", NONCES, one_delete),
    "securecore_purge": ("securecore_seen_nonce", NONCES, securecore_purge),
    "Django clearsessions": ("django_session", SESSIONS, django_clearsessions),
    "simplejwt flushexpiredtokens": (
        "token_blacklist_outstandingtoken",
        TOKENS,
        lambda: call_command("flushexpiredtokens", verbosity=0),
    ),
}


def claims(until: Any, result: Any) -> None:
    """Claim a nonce every ``PAUSE`` seconds until the event ``until``, and send the seconds of each claim."""
    connections.close_all()
    times = []
    while not until.is_set():
        started = time.perf_counter()
        now = clock.now()
        replay.claim_nonce(secrets.token_hex(16), scope="user:1", made_at=now, now=now)
        times.append(time.perf_counter() - started)
        time.sleep(PAUSE)
    result.send(times)


def purge(name: str, result: Any) -> None:
    """Run the purge of the peer ``name``; send its seconds and the MiB by which it raised the process's memory."""
    connections.close_all()
    connection.ensure_connection()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    PEERS[name][2]()
    spent = time.perf_counter() - started
    result.send((spent, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))


def fill(table: str, statement: str, rows: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {table} CASCADE")
        cursor.execute(statement, {"expired": rows, "all": rows + rows // 10})
        cursor.execute(f"VACUUM ANALYZE {table}")
        cursor.execute("CHECKPOINT")


def beside_claims(run: Callable[[], Any]) -> tuple[Any, list[float]]:
    """Return the result of ``run``, and the seconds of each claim while it ran."""
    context = multiprocessing.get_context("fork")
    over, (receiver, sender) = context.Event(), context.Pipe(duplex=False)
    connections.close_all()
    process = context.Process(target=claims, args=(over, sender))
    process.start()
    try:
        result = run()
    finally:
        over.set()
        times = receiver.recv()
        process.join()
    return result, times


def purged(name: str) -> tuple[float, float]:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=purge, args=(name, sender))
    process.start()
    result: tuple[float, float] = receiver.recv()
    process.join()
    return result


def p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)] * 1e3 if times else math.nan


def measured(peers: Sequence[str], rows: int, rounds: int, idle: float) -> dict[str, dict[str, float]]:
    """Return seconds, MiB and the p99 of a claim in milliseconds, by peer; for "idle" the p99 alone.

    ``idle`` is the seconds for which the claims are measured before each purge.
    """
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in peers}
    live: dict[str, list[float]] = {name: [] for name in (*peers, "idle")}
    for number in range(rounds):
        for name in sorted(peers, reverse=bool(number % 2)):
            table, statement, _ = PEERS[name]
            fill(table, statement, rows)
            live["idle"] += beside_claims(lambda: time.sleep(idle))[1]
            result, times = beside_claims(lambda name=name: purged(name))  # type: ignore[misc]
            spent[name].append(result)
            live[name] += times
    figures: dict[str, dict[str, float]] = {"idle": {"p99": p99(live["idle"])}}
    for name, results in spent.items():
        seconds, memory = (statistics.median(column) for column in zip(*results, strict=True))
        figures[name] = {"seconds": seconds, "mib": memory, "p99": p99(live[name])}
    return figures


def show(rows: int, figures: dict[str, dict[str, float]]) -> None:
    idle = figures["idle"]["p99"]
    yardstick = figures["one DELETE"]["seconds"] if "one DELETE" in figures else math.nan
    print(f"\n{rows:,} expired rows; a claim on the idle database has p99 {idle:.1f} ms")
    for name, figure in figures.items():
        if name != "idle":
            print(
                f"  {name:30} {figure['seconds']:7.1f} s ({figure['seconds'] / yardstick:5.2f} of one DELETE)"
                f"  +{figure['mib']:6.0f} MiB  p99 of a claim {figure['p99']:6.1f} ms "
                f"({figure['p99'] / idle:.2f} of idle)"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle", type=float, default=5.0, help="seconds of claims without a purge, before each purge")
    parser.add_argument(
        "--peers",
        nargs="+",
        choices=PEERS,
        default=list(PEERS),
        help="simplejwt's command reads all rows into memory: 1.8 GiB for each million",
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        figures = {rows: measured(arguments.peers, rows, arguments.rounds, arguments.idle) for rows in arguments.rows}
    finally:
        teardown_databases(databases, verbosity=0)
    if arguments.json:
        print(json.dumps(figures))
        return
    for rows, each in figures.items():
        show(rows, each)


if __name__ == "__main__":
    main()
