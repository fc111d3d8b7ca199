"""Run the race suite with its work spread over three hosts."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg

from demo_project.children import Children
from tests.races.carriers import ENVIRONMENT
from tests.support.postgres import CannotStart, server
from tests.support.tree import ROOT
from tools.chaos.pgbouncer import pgbouncer
from tools.hosts.hosts import COUNT, library

#: Server connections of PgBouncer. A race of 64 processes shares them; a test holds a few for its whole length.
POOL_SIZE = 30


def run_suite(arguments: Sequence[str], *, through_pgbouncer: bool, skew: int) -> int:
    """Run tests/races, or what the ``arguments`` for pytest choose of it; return pytest's exit code.

    Raises ``CannotStart``. Call it in the main thread, because child processes end with the thread that started them.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="securecore-hosts-", dir="/tmp")))
        folder.chmod(0o755)  # PgBouncer drops root, and must reach its socket in a folder below
        children = Children(folder=folder, logs=folder)
        stack.callback(children.stop)
        postgres = stack.enter_context(server())
        database: dict[str, Any] = {}
        if through_pgbouncer:
            address = pgbouncer(children, folder, postgres.url, pool_size=POOL_SIZE)
            there = psycopg.conninfo.conninfo_to_dict(address)
            database = {"HOST": there["host"], "PORT": there["port"], "DISABLE_SERVER_SIDE_CURSORS": True}
        hosts = [
            {"process": process, "ahead": (number - 1) * skew}
            for number, process in enumerate(stack.enter_context(_namespaces()))
        ]
        environment = os.environ | {
            "TEST_DATABASE_URL": postgres.url,
            # Each race of sixteen starts sixteen processes and opens sixteen connections.
            "SECURECORE_RACE_ROUNDS": os.environ.get("SECURECORE_RACE_ROUNDS", "3"),
            ENVIRONMENT: json.dumps({"hosts": hosts, "database": database}),
            **(_clock() if skew else {}),
        }
        # Prepared statements are a trial of one session, and a pooler changes sessions.
        options = [
            "-n0",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "not matrix",
            "--reuse-db",
        ]  # the pooler stays connected
        command = [sys.executable, "-m", "pytest", *options, *(arguments or ["tests/races"])]
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


@contextlib.contextmanager
def _namespaces() -> Iterator[list[int]]:
    """Start a sleeping process in each of three network namespaces; yield their process ids."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "--net", "true"], capture_output=True, check=False).returncode:
        raise CannotStart("no network namespaces: they need root on Linux")
    sleepers = [
        subprocess.Popen([unshare, "--net", "--", "sh", "-c", "echo in; exec sleep infinity"], stdout=subprocess.PIPE)
        for _ in range(COUNT)
    ]
    try:
        for each in sleepers:
            assert each.stdout is not None
            each.stdout.readline()  # it is in its namespace
        yield [each.pid for each in sleepers]
    finally:
        for each in sleepers:
            each.kill()
            each.wait()


def _clock() -> dict[str, str]:
    """Return the variables for processes that set their clocks themselves, by ``FAKETIME``."""
    return {
        "LD_PRELOAD": str(library()),
        "FAKETIME": "+0s",
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
