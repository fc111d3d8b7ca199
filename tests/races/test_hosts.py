"""The hosts of ``make hosts`` are hosts: work runs in three network namespaces, by three clocks."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from django.db import connection

from tests.races import carriers

pytestmark = [pytest.mark.on_hosts, pytest.mark.django_db(transaction=True)]


def test_work_runs_in_the_namespaces_of_three_hosts_by_their_clocks(run_together: Any) -> None:
    layout = carriers.layout()
    assert layout is not None
    began, beginning = time.time(), time.monotonic()

    def work(_: int) -> tuple[int, str, int, int]:
        [(session,)] = _rows("SELECT pg_backend_pid()")
        ahead = time.time() - began - (time.monotonic() - beginning)
        return os.getpid(), os.readlink("/proc/self/ns/net"), session, round(ahead)

    found = run_together(6, work)
    assert len({process for process, *_ in found} | {os.getpid()}) == 7
    assert len({namespace for _, namespace, *_ in found} | {os.readlink("/proc/self/ns/net")}) == 4
    assert [each[3] for each in found] == [host.ahead for host in layout.hosts] * 2


def test_memory_of_one_process_keeps_no_promise_on_hosts(run_together: Any) -> None:
    """A claim in a Python set holds among threads. Hosts see that the claim is not in the database."""
    claimed: set[str] = set()

    def claim(_: int) -> bool:
        if "nonce" in claimed:
            return False
        claimed.add("nonce")
        return True

    assert sum(run_together(6, claim)) == 6


def _rows(query: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())
