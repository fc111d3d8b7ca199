"""Several connections to the configured database, each used by a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from threading import Barrier, BrokenBarrierError, Thread
from typing import TypeVar

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore import database
from securecore.conf import settings
from securecore.database import Statement

Result = TypeVar("Result")

#: Connections. A pooler with fewer makes some of them wait, and changes no verdict; the gates need two at once.
COUNT = 8
#: Seconds that a statement, a connection or a thread may take.
LIMIT = 5

_LIMITS = Statement(
    "SELECT set_config('statement_timeout', %(limit)s, true), set_config('lock_timeout', %(limit)s, true)"
)


class ConcurrentConnections:
    """``COUNT`` connections with the settings of ``SECURECORE["DATABASE"]``. The thread of the trials uses the first.

    A connection never serves two threads at once, and is not closed while one uses it: drivers crash then. The threads
    are daemons, so that a server that does not reply cannot keep the command from ending.
    """

    def __init__(self) -> None:
        self._connections = [_new_connection() for _ in range(COUNT)]
        self._threads: dict[int, Thread] = {}
        self._is_closed = False
        self._use(0)

    def at_once(self, work: Callable[[], Result]) -> list[Result]:
        """Call ``work`` on every connection at the same instant; return the results. Raises the first error."""
        barrier = Barrier(COUNT)

        def run() -> Result:
            try:
                database.connection().ensure_connection()
            except Exception:  # of any driver; without this thread the others would wait at the barrier
                barrier.abort()
                raise
            barrier.wait(LIMIT)
            return work()

        futures = [self.start(number, run) for number in range(COUNT)]
        wait(futures, 2 * LIMIT)
        # A broken barrier follows from the error of another thread, which comes first.
        futures.sort(key=lambda future: future.done() and isinstance(future.exception(), BrokenBarrierError))
        return [future.result(0) for future in futures]

    def start(self, number: int, work: Callable[[], Result]) -> Future[Result]:
        """Call ``work`` in a new thread, on connection ``number``. Raises ``TimeoutError`` while it is in use."""
        if not self._is_free(number):
            raise TimeoutError("a statement of an earlier trial still runs")
        future: Future[Result] = Future()

        def run() -> None:
            self._use(number)
            try:
                future.set_result(work())
            except BaseException as error:  # the thread of the trials raises it
                future.set_exception(error)
            if self._is_closed:
                _close(self._connections[number])

        thread = self._threads[number] = Thread(target=run, daemon=True)
        thread.start()
        return future

    def close(self) -> None:
        """Close the connections that no thread uses. The thread of each other connection closes it, if it ever ends."""
        self._is_closed = True
        for number, connection in enumerate(self._connections):
            if self._is_free(number):
                _close(connection)

    def _is_free(self, number: int) -> bool:
        if (thread := self._threads.get(number)) is not None:
            thread.join(2 * LIMIT)
            return not thread.is_alive()
        return True

    def _use(self, number: int) -> None:
        connections[settings.DATABASE] = self._connections[number]


@contextmanager
def limited_transaction() -> Iterator[None]:
    """Open a transaction in which each statement and each wait takes at most ``LIMIT`` seconds.

    The limits are settings of the transaction, so a pooler gives them to no other client.
    """
    connection = database.connection()
    with transaction.atomic(using=settings.DATABASE):
        if connection.vendor == "postgresql":
            _LIMITS.rows(connection, {"limit": database.lock_timeout(LIMIT)})
        yield


def _close(connection: BaseDatabaseWrapper) -> None:
    BaseDatabaseWrapper.close(connection)  # Django's own close() keeps SQLite in memory open


def _new_connection() -> BaseDatabaseWrapper:
    configured = connections[settings.DATABASE]
    # Not from Django's pool: its clients would wait for each other, and a trial must not take all of its connections.
    options = {name: value for name, value in configured.settings_dict.get("OPTIONS", {}).items() if name != "pool"}
    if configured.vendor == "postgresql":
        options.setdefault("connect_timeout", LIMIT)
    changed = {"OPTIONS": options, "CONN_MAX_AGE": 0, "AUTOCOMMIT": True}
    connection = type(configured)({**configured.settings_dict, **changed}, settings.DATABASE)
    connection.inc_thread_sharing()
    return connection
