"""Sessions of PostgreSQL that wait for each other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg

_WAITS = """
    SELECT 1 FROM pg_locks WHERE NOT granted AND pid = %s AND clock_timestamp() - waitstart > make_interval(secs => %s)
"""


@contextmanager
def waiting_session(
    url: str, *, holds: str, waits: str, seconds: float = 0, **options: Any
) -> Iterator[tuple[int, int]]:
    """Let a session run ``holds``, and another one ``waits`` behind it for at least ``seconds``; yield both pids."""

    def connect(name: str) -> psycopg.Connection[Any]:
        return psycopg.connect(url, application_name=name, **options)

    with (
        connect("app-2") as holder,
        connect("app-1") as waiter,
        connect("test") as watching,
        ThreadPoolExecutor(1) as pool,
    ):
        watching.autocommit = True
        holder.execute(holds)
        future = pool.submit(waiter.execute, waits)
        try:
            deadline = time.monotonic() + 30
            while not watching.execute(_WAITS, [waiter.info.backend_pid, seconds]).fetchall():
                assert time.monotonic() < deadline, "the session does not wait"
            yield holder.info.backend_pid, waiter.info.backend_pid
        finally:
            holder.rollback()
            future.result(30)
            waiter.rollback()
