"""Kill workers and PostgreSQL at intervals, without warning: SIGKILL, as in ``pg_ctl stop -m immediate``."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from tests.support.postgres import Server
from tools.chaos.history import History
from tools.chaos.place import Service

WORKER_EVERY, DATABASE_EVERY = 0.4, 5.0  # seconds


@contextmanager
def killing_workers(service: Service, history: History, *, every: float = WORKER_EVERY) -> Iterator[None]:
    """Kill a worker of ``service`` every ``every`` seconds until the block ends."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(every):
            workers = service.workers()
            if workers:
                victim = random.choice(workers)
                try:
                    victim.kill()
                except psutil.NoSuchProcess:
                    continue
                history.write("worker-killed", pid=victim.pid)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def kill_database(
    postgres: Server, history: History, *, until: Callable[[float], bool], every: float = DATABASE_EVERY
) -> None:
    """Kill PostgreSQL every ``every`` seconds and start it again. Return with a running server.

    ``until(seconds)`` waits for that long and returns True when the scenario is over. Call it in the thread that lives
    longest, because the kernel stops the server when the thread that started it ends.
    """
    while not until(every):
        postgres.kill()
        history.write("database-killed")
        postgres.restart()
        history.write("database-started")
