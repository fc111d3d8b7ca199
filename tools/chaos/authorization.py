"""Race checks and effects with revocations, while connections are cut: python -m tools.chaos.authorization

    --trials 100000        attempts to have an effect (default)
    --gate row             "advisory" (default) or "row"
    --outrun               leave the gate open, to see that the checker notices

Each round creates a person and gives the person a permission in one of the ways of tests/races/revocations.py. Threads
have effects until they are denied, and meanwhile the permission is revoked. Right after the revocation the revoking
thread counts the person's effects. That count must never grow, also with requests in flight. The history is judged by
tools/chaos/authorization_checker.py.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import logging
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.postgres import CannotStart, server
from tests.support.tree import ROOT
from tools.chaos.history import History

ROUNDS_AT_ONCE = 3
THREADS = 4  # with effects, in each round
CUT_EVERY = 0.4  # seconds between two cut connections
SETTLE = 0.01  # seconds in which effects in flight may still commit before the end of the round


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.chaos.authorization")
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--gate", choices=["advisory", "row"], default="advisory")
    parser.add_argument("--history", type=Path, help="the file for the events, one JSON object a line")
    parser.add_argument("--outrun", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="securecore-chaos-") as folder:
        history = chosen.history or Path(folder) / "history.jsonl"
        try:
            with server() as postgres:
                _prepare(postgres.url, chosen.gate, chosen.outrun)
                with History(history) as written:
                    run(written, trials=chosen.trials)
                checker = [sys.executable, "-m", "tools.chaos.authorization_checker", str(history), postgres.url]
                return subprocess.run(checker, cwd=ROOT, check=False).returncode
        except CannotStart as problem:
            print(f"tools.chaos: {problem}", file=sys.stderr)
            return 1


def _prepare(url: str, gate_kind: str, outrun: bool) -> None:
    import django

    os.environ |= {"TEST_DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    from securecore import grants

    settings.SECURECORE |= {"GATE": gate_kind, "DJANGO_PERMISSIONS": True, "LOCK_TIMEOUT": 10.0}
    connection.settings_dict["OPTIONS"]["prepare_threshold"] = 5  # as docs/caller.md has it
    logging.disable(logging.CRITICAL)  # every denial is an event
    call_command("migrate", verbosity=0, interactive=False)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE chaos_authorized (id uuid PRIMARY KEY, person text NOT NULL)")
        cursor.execute("CREATE INDEX ON chaos_authorized (person)")
    if outrun:
        setattr(grants.gate, "enter", _open)  # noqa: B010


def _open(names: object, group_names: object, query: Any) -> Any:
    """Replace the gate by a function that takes no lock."""
    from securecore import database

    return query.rows(database.connection())


def run(history: History, *, trials: int) -> None:
    """Run rounds until there were ``trials`` attempts, and write the events."""
    from tests.races.revocations import ROUND_US, THROUGH_US

    kinds = itertools.cycle({**THROUGH_US, **ROUND_US}.items())
    made = itertools.count(1)
    over = threading.Event()

    def attempted() -> None:
        if next(made) >= trials:
            over.set()

    def rounds() -> None:
        # The threads keep their connections, because connecting costs more than a whole round.
        with ThreadPoolExecutor(THREADS) as threads:
            while not over.is_set():
                kind, revocation = next(kinds)
                _Round(history, kind, revocation, attempted).run(threads)

    history.write("started", trials=trials)
    with _cutting_connections(history, over):
        threads = [threading.Thread(target=rounds, daemon=True) for _ in range(ROUNDS_AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    history.write("ended")


class _Round:
    def __init__(self, history: History, kind: str, revocation: Any, attempted: Callable[[], None]) -> None:
        from tests.races.revocations import Person

        self._history, self._kind, self._revocation, self._attempted = history, kind, revocation, attempted
        self._over = threading.Event()
        self._person = insist(Person)
        insist(lambda: revocation.give(self._person))

    def run(self, threads: ThreadPoolExecutor) -> None:
        attempts = [threads.submit(self._attempts) for _ in range(THREADS)]
        time.sleep(random.uniform(0, 0.1))
        insist(lambda: self._revocation.take(self._person))
        count = insist(self._count)
        self._history.write("revoked", person=self._person.name, how=self._kind, effects=count)
        self._over.set()
        for attempt in attempts:
            attempt.result()
        time.sleep(SETTLE)

    def _attempts(self) -> None:
        while True:
            over = self._over.is_set()
            outcome = self._attempt()
            self._attempted()
            if over and outcome == "denied":
                break

    def _attempt(self) -> str:
        effect, after = str(uuid.uuid4()), self._over.is_set()
        outcome = self._have(effect)
        # `after`: the attempt began after the revocation had returned.
        self._history.write("attempt", person=self._person.name, effect=effect, outcome=outcome, after=after)
        return outcome

    def _have(self, effect: str) -> str:
        from django.db import Error, connection, connections

        from securecore import clock
        from securecore.errors import PermissionDenied, Refused
        from securecore.grants import authorize, late_gate
        from tests.races.revocations import MAKE

        late = random.random() < 0.2
        try:
            with ExitStack() as gate:
                if late:
                    gate.enter_context(late_gate(self._person.names, clock=clock.now)).require(MAKE)
                else:
                    gate.enter_context(authorize(self._person.names, MAKE, clock=clock.now))
                with connection.cursor() as cursor:
                    cursor.execute("INSERT INTO chaos_authorized VALUES (%s, %s)", [effect, self._person.name])
                time.sleep(random.uniform(0, 0.002))
        except PermissionDenied:
            return "denied"
        except Refused:
            return "busy"
        except Error:
            connections.close_all()
            return "unknown"
        return "done"

    def _count(self) -> int:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM chaos_authorized WHERE person = %s", [self._person.name])
            return int(cursor.fetchone()[0])


def insist(work: Callable[[], Any]) -> Any:
    """Run ``work`` again until no connection is cut. A revocation that was cut has not returned, so it may be
    repeated.
    """
    from django.db import DatabaseError, InterfaceError, connections

    from securecore.errors import Refused

    while True:
        try:
            return work()
        except (DatabaseError, InterfaceError, Refused):
            connections.close_all()


@contextlib.contextmanager
def _cutting_connections(history: History, over: threading.Event) -> Iterator[None]:
    def cut() -> None:
        import psycopg

        with psycopg.connect(os.environ["TEST_DATABASE_URL"], autocommit=True) as own:
            while not over.wait(CUT_EVERY):
                own.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                    "AND backend_type = 'client backend' ORDER BY random() LIMIT 1"
                )
                history.write("connection-cut")

    thread = threading.Thread(target=cut, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
