"""What authentication costs a request: ours and the best-known packages, over a bare REST framework view.

    python -m tests.postgres -- python -m benchmarks.auth_cost [--rounds N] [--json]

One process, one PostgreSQL, all peers in turn within each round, so that whatever slows the machine slows all of them.
Each figure is the median of every call, less the bare view's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.auth_settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.test.utils import override_settings, setup_databases, teardown_databases  # noqa: E402

from benchmarks.auth_peers import Peer, peers  # noqa: E402
from securecore import clock  # noqa: E402

CALLS = 40
WARM = 20


def measured(peers: dict[str, Peer], rounds: int, pause: float) -> dict[str, float]:
    """Return the median microseconds of a request of each peer."""
    callers = {name: peer.caller() for name, peer in peers.items()}
    times: dict[str, list[int]] = {name: [] for name in peers}
    for number in range(rounds):
        for name in sorted(peers, reverse=bool(number % 2)):
            with override_settings(**peers[name].settings):
                for _ in range(WARM if number == 0 else 3):
                    callers[name]()
                times[name] += timed(callers[name], pause)
    return {name: statistics.median(each) / 1e3 for name, each in times.items()}


def timed(call: Callable[[], None], pause: float) -> list[int]:
    figures = []
    for _ in range(CALLS):
        time.sleep(pause)  # a server waits between two requests, and its caches cool
        started = time.perf_counter_ns()
        call()
        figures.append(time.perf_counter_ns() - started)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--pause", type=float, default=0.5, help="milliseconds between two requests")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        user = User.objects.create_user("alice")
        medians = measured(peers(user, clock.now()), arguments.rounds, arguments.pause / 1e3)
    finally:
        teardown_databases(databases, verbosity=0)
    bare = medians.pop("bare")
    added = {name: round(each - bare, 1) for name, each in medians.items()}
    if arguments.json:
        print(json.dumps(added))
        return
    print(f"bare view {bare:.0f} us")
    for name, each in added.items():
        print(f"{name:28} +{each:6.0f} us   {each / added['simplejwt']:5.2f} of simplejwt")


if __name__ == "__main__":
    main()
