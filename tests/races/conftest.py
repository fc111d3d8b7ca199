"""Real threads on real PostgreSQL. A race that was skipped proves nothing, so here a skip is a failure.

Tests in this folder commit for real: mark them `@pytest.mark.django_db(transaction=True)`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import pytest
from django.db import connection, connections

Result = TypeVar("Result")

TIMEOUT = 60  # seconds until a thread that did not come back counts as hung


@pytest.fixture(autouse=True)
def _real_database() -> None:
    if connection.vendor != "postgresql":
        pytest.fail("races need row locks: python -m tests.postgres -- pytest tests/races")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = "a race test may not be skipped"
    return report


@pytest.fixture(scope="session")
def run_together() -> Callable[[int, Callable[[int], Any]], list[Any]]:
    """`run_together(16, fn)` calls `fn(0)` ... `fn(15)`, all at once; see `_run_together`."""
    return _run_together


def _connect(barrier: threading.Barrier) -> None:
    try:
        connection.ensure_connection()  # so that the race is about fn, not about who connects first
    except BaseException:
        barrier.abort()
        raise
    barrier.wait(TIMEOUT)


def _run_together(n: int, fn: Callable[[int], Result]) -> list[Result]:
    """Call `fn(0)` ... `fn(n - 1)` in threads that start at one barrier; return the results in that order.

    Every thread has its own database connection, open before the barrier and closed at the end. Raises an
    ExceptionGroup of whatever the calls raised, and AssertionError for a thread that is still running after a minute.
    """
    barrier = threading.Barrier(n)
    results: dict[int, Result] = {}
    errors: list[BaseException] = []

    def work(index: int) -> None:
        try:
            _connect(barrier)
            results[index] = fn(index)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert not any(thread.is_alive() for thread in threads), "a thread is still running after a minute"
    if errors:
        raise BaseExceptionGroup(f"{len(errors)} of {n} calls failed", errors)
    return [results[index] for index in range(n)]
