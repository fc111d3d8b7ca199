"""Fixtures for real threads on a real PostgreSQL. A skipped race proves nothing, so in this folder a skip is a failure.

Tests in this folder commit for real: mark them `@pytest.mark.django_db(transaction=True)`.
"""

from __future__ import annotations

import functools
import multiprocessing
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from django.db import connection, connections

from tests.races import carriers

Result = TypeVar("Result")

FOLDER = Path(__file__).parent
TIMEOUT = 60  # seconds until a thread that does not return counts as hung


@pytest.fixture(autouse=True)
def _real_database() -> None:
    if connection.vendor != "postgresql":
        pytest.fail("races need row locks: python -m tests.support.postgres -- pytest tests/races")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = "a race test may not be skipped"
    return report


@pytest.fixture
def run_together() -> Iterator[Callable[[int, Callable[[int], Any]], list[Any]]]:
    """`run_together(16, fn)` calls `fn(0)` ... `fn(15)`, all at once; see `Threads` and `Hosts`."""
    if (layout := carriers.layout()) is not None:
        yield Hosts(layout).run_together
        return
    with Threads() as threads:
        yield threads.run_together


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the races of the other kind: those of one process or clock on hosts, those of hosts in threads."""
    others = {"on_hosts"} if carriers.layout() is None else {"one_process"}
    if carriers.span():
        others.add("one_clock")
    own = [item for item in items if item.path.is_relative_to(FOLDER)]
    left_out = [item for item in own if any(item.get_closest_marker(other) for other in others)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


class Threads:
    """Threads that live as long as the test, each with its own database connection.

    With new threads for each round, a test of forty rounds would spend most of its time on connecting.
    """

    def __init__(self) -> None:
        self._tasks: list[queue.SimpleQueue[Callable[[], None] | None]] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *_: object) -> None:
        for tasks in self._tasks:
            tasks.put(None)
        for thread in self._threads:
            thread.join(TIMEOUT)

    def run_together(self, n: int, fn: Callable[[int], Result]) -> list[Result]:
        """Run `fn(0)` ... `fn(n - 1)` in threads that start at one barrier; return the results in that order.

        Connections are open before the barrier. Raises an ExceptionGroup of the exceptions of the calls, and
        AssertionError for
        a call that has not returned after a minute.
        """
        while len(self._threads) < n:
            self._add()
        barrier, done = threading.Barrier(n), threading.Semaphore(0)
        results: dict[int, Result] = {}
        errors: list[BaseException] = []

        def work(index: int) -> None:
            try:
                _connect(barrier)
                results[index] = fn(index)
            except BaseException as error:
                errors.append(error)
            finally:
                done.release()

        for index in range(n):
            self._tasks[index].put(functools.partial(work, index))
        deadline = time.monotonic() + TIMEOUT
        came_back = [done.acquire(timeout=max(0.0, deadline - time.monotonic())) for _ in range(n)]
        assert all(came_back), "a thread is still running after a minute"
        if errors:
            raise BaseExceptionGroup(f"{len(errors)} of {n} calls failed", errors)
        return [results[index] for index in range(n)]

    def _add(self) -> None:
        tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        thread = threading.Thread(target=_serve, args=(tasks,), daemon=True)
        thread.start()
        self._tasks.append(tasks)
        self._threads.append(thread)


class Hosts:
    """Processes on three hosts, new ones for each call."""

    def __init__(self, layout: carriers.Layout) -> None:
        self._layout = layout

    def run_together(self, n: int, fn: Callable[[int], Result]) -> list[Result]:
        """Run `fn(0)` ... `fn(n - 1)` in processes that start at one barrier; as `Threads.run_together`."""
        barrier = multiprocessing.Barrier(n)

        def work(index: int) -> Result:
            _connect(barrier)
            return fn(index)

        running = [carriers.OnHost(functools.partial(work, index), self._layout, index) for index in range(n)]
        deadline = time.monotonic() + TIMEOUT
        for each in running:
            each.join(max(0.0, deadline - time.monotonic()))
        late = [each for each in running if each.is_alive()]
        for each in late:
            each.end()
        assert not late, "a process is still running after a minute"
        results: list[Result] = []
        errors: list[BaseException] = []
        for each in running:
            try:
                results.append(each.result())
            except BaseException as error:
                errors.append(error)
        if errors:
            raise BaseExceptionGroup(f"{len(errors)} of {n} calls failed", errors)
        return results


def _serve(tasks: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    try:
        while (task := tasks.get()) is not None:
            task()
            if connection.in_atomic_block or connection.errors_occurred:
                connection.close()  # the next round begins with a good connection
    finally:
        connections.close_all()


def _connect(barrier: Any) -> None:
    try:
        connection.ensure_connection()  # so that the race is about fn, not about the time to connect
    except BaseException:
        barrier.abort()
        raise
    barrier.wait(TIMEOUT)
