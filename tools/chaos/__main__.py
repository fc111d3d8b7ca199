"""Run a scenario and its checker; see the package's docstring. Exit code 0 means a good verdict."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.postgres import CannotStart
from tests.support.tree import ROOT
from tools.chaos import idempotency
from tools.chaos.pgbouncer import binary
from tools.chaos.place import place


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.chaos")
    parser.add_argument("scenario", choices=["idempotency"])
    parser.add_argument("--database", choices=["postgresql", "pgbouncer", "sqlite"], default="postgresql")
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--url", action="append", help="send to this view instead: /bare shows a bad verdict")
    parser.add_argument("--history", type=Path, help="the file for the events, one JSON object a line")
    chosen = parser.parse_args()
    if chosen.database == "pgbouncer" and binary() is None:
        print("SKIPPED: chaos through PgBouncer, since there is no pgbouncer on PATH (Debian: apt install pgbouncer)")
        return 0
    with tempfile.TemporaryDirectory(prefix="securecore-chaos-") as folder:
        history = chosen.history or Path(folder) / "history.jsonl"
        try:
            with place(database=chosen.database) as here:
                idempotency.run(here, history, keys=chosen.keys, urls=chosen.url or idempotency.URLS)
                command = [sys.executable, "-m", "tools.chaos.checker", str(history), here.database_url]
                return subprocess.run(command, cwd=ROOT, check=False).returncode
        except CannotStart as problem:
            print(f"tools.chaos: {problem}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # and clean up on the way
    sys.exit(main())
