"""Measure the cost of authentication for a request: securecore and the best-known packages, over a bare REST view.

    python -m tests.support.postgres -- python -m benchmarks.auth_cost [--rounds N] [--json] [--svg docs/auth_cost.svg]
    python -m tests.support.postgres -- python -m benchmarks.auth_cost --rows 0 1000000 10000000
    python -m tests.support.postgres -- python -m benchmarks.auth_cost --prepared        prepared on the server
    python -m tests.support.postgres -- python -m benchmarks.auth_cost --pgbouncer       behind a real PgBouncer

One process and one PostgreSQL. All peers run in turn within each round, so that a slow machine slows all of them. Each
figure is the median of all calls, minus the median of the bare view. ``--rows`` fills securecore's tables with that
many records, half of them expired, and compares securecore with itself.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.auth_settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.db import connection  # noqa: E402
from django.test.utils import override_settings, setup_databases, teardown_databases  # noqa: E402

from benchmarks.auth_peers import Peer, peers  # noqa: E402
from benchmarks.auth_rows import fill  # noqa: E402
from benchmarks.chart import bars  # noqa: E402
from benchmarks.pooled import through_pgbouncer  # noqa: E402
from securecore import clock  # noqa: E402

CALLS = 40
WARM = 20
TITLE = "Added by authentication to one REST framework request"


def measured(peers: dict[str, Peer], rounds: int, pause: float) -> dict[str, float]:
    """Return the microseconds that each peer adds to a request."""
    callers = {name: peer.caller() for name, peer in peers.items()}
    times: dict[str, list[int]] = {name: [] for name in peers}
    for number in range(rounds):
        for name in sorted(peers, reverse=bool(number % 2)):
            with override_settings(**peers[name].settings):
                for _ in range(WARM if number == 0 else 3):
                    callers[name]()
                times[name] += timed(callers[name], pause)
    medians = {name: statistics.median(each) / 1e3 for name, each in times.items()}
    return {name: round(each - medians["bare"], 1) for name, each in medians.items() if name != "bare"}


def timed(call: Callable[[], None], pause: float) -> list[int]:
    figures = []
    for _ in range(CALLS):
        time.sleep(pause)  # a server waits between two requests, and the CPU's caches cool
        started = time.perf_counter_ns()
        call()
        figures.append(time.perf_counter_ns() - started)
    return figures


def show(added: dict[str, float]) -> None:
    for name, each in sorted(added.items(), key=lambda each: -each[1]):
        against = "django-session" if "session" in name else "simplejwt"
        ratio = f"{each / added[against]:5.2f} of {against}" if name.startswith("securecore") else ""
        print(f"{name:30} +{each:6.0f} us   {ratio}")


def show_rows(sizes: list[int], everybody: dict[str, Peer], rounds: int, pause: float) -> None:
    chosen = {
        name: peer
        for name, peer in everybody.items()
        if name in ("bare", "simplejwt") or (name.startswith("securecore") and not name.endswith("lease"))
    }
    first: dict[str, float] = {}
    there = 0
    for size in sorted(sizes):
        fill(there, size)
        there = size
        # The ratio to simplejwt in the same minutes: the machine's speed changes, and simplejwt reads no securecore
        # table.
        added = measured(chosen, rounds, pause)
        yardstick = added.pop("simplejwt")
        relative = {name: each / yardstick for name, each in added.items()}
        first = first or relative
        print(
            f"{size:>10,} rows",
            *(f"{name} +{added[name]:.0f} us ({relative[name] / first[name]:.2f})" for name in added),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--pause", type=float, default=0.5, help="milliseconds between two requests")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--rows", type=int, nargs="+")
    parser.add_argument("--prepared", action="store_true")
    parser.add_argument("--pgbouncer", action="store_true")
    arguments = parser.parse_args()
    if arguments.prepared:
        connection.settings_dict.setdefault("OPTIONS", {}).update(server_side_binding=True, prepare_threshold=5)
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        everybody = peers(User.objects.create_user("alice"), clock.now())
        if arguments.rows:
            show_rows(arguments.rows, everybody, arguments.rounds, arguments.pause / 1e3)
            return
        with through_pgbouncer() if arguments.pgbouncer else nullcontext():
            added = measured(everybody, arguments.rounds, arguments.pause / 1e3)
    finally:
        teardown_databases(databases, verbosity=0)
    if arguments.svg:
        arguments.svg.write_text(bars(TITLE, added, unit="us", ours="securecore"))
    if arguments.json:
        print(json.dumps(added))
    else:
        show(added)


if __name__ == "__main__":
    main()
