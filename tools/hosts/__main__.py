"""Run the races; see the package's docstring. Exit code 0 means a good verdict, 3 a bad one."""

from __future__ import annotations

import argparse
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.support.postgres import CannotStart
from tools.chaos.pgbouncer import binary
from tools.hosts.hosts import hosts
from tools.hosts.races import Races
from tools.hosts.suite import run_suite


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.hosts")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--pgbouncer", action="store_true", help="behind PgBouncer in transaction mode")
    parser.add_argument("--races", nargs=argparse.REMAINDER, help="run tests/races, or what these arguments choose")
    parser.add_argument("--skew", type=int, default=0, help="seconds between two neighbouring clocks")
    chosen = parser.parse_args()
    if chosen.pgbouncer and binary() is None:
        print("SKIPPED: three hosts behind PgBouncer, since there is no pgbouncer (Debian: apt install pgbouncer)")
        return 0
    try:
        if chosen.races is not None:
            return run_suite(chosen.races, through_pgbouncer=chosen.pgbouncer, skew=chosen.skew)
        with hosts(through_pgbouncer=chosen.pgbouncer, skew=chosen.skew) as running, ThreadPoolExecutor(16) as pool:
            verdict = Races(running, pool).run(chosen.rounds)
    except CannotStart as problem:
        print(f"tools.hosts: {problem}", file=sys.stderr)
        return 1
    print(verdict)
    return 0 if verdict.good else 3


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # and clean up on the way
    sys.exit(main())
