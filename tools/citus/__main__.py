"""Start the cluster, migrate, spread the tables, and run the command; see the package's docstring."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg

from tests.support.postgres import CannotStart
from tests.support.tree import ROOT
from tools.citus.cluster import cluster
from tools.citus.tables import spread

#: The database that Django's tests take when TEST_DATABASE_URL names ``postgres``.
DATABASE = "test_postgres"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.citus")
    parser.add_argument("--binaries", type=Path, required=True, help="the folder of a postgres that has Citus")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    chosen = parser.parse_args()
    command = chosen.command[1:] if chosen.command[:1] == ["--"] else chosen.command
    try:
        with cluster(chosen.binaries) as running:
            url = running.make_database(DATABASE)
            environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tools.citus.settings"}
            migrate = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
            subprocess.run(migrate, cwd=ROOT, env=environment | {"TEST_DATABASE_URL": url}, check=True)
            with psycopg.connect(url, autocommit=True) as connection:
                spread(connection)
            environment |= {"TEST_DATABASE_URL": running.coordinator, "SPREAD_DATABASE_URL": url}
            return subprocess.run(command, env=environment, check=False).returncode
    except CannotStart as problem:
        print(f"tools.citus: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(main())
