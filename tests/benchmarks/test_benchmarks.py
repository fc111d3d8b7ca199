"""Each program behind the manual's figures starts, runs a round, and prints its table."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from django.db import connection

from benchmarks.__main__ import RUNS, Run, section
from tests.support.postgres import server
from tools.chaos.pgbouncer import binary as pgbouncer_binary

pytestmark = [
    pytest.mark.database,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="the benchmarks measure on PostgreSQL"),
]


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    """A server of its own, since a benchmark creates and drops the test database."""
    with server() as postgres:
        yield postgres.url


def every_run() -> Iterator[Any]:
    """Name each run; those of a program with other options are left to `make matrix`."""
    programs: set[str] = set()
    for run in RUNS:
        yield pytest.param(run, id=run.name, marks=[pytest.mark.matrix] if run.program in programs else [])
        programs.add(run.program)


@pytest.mark.parametrize("run", list(every_run()))
def test_prints_its_table(run: Run, database_url: str) -> None:
    if "--pgbouncer" in run.options and pgbouncer_binary() is None:
        pytest.skip("no pgbouncer on PATH (Debian: apt install pgbouncer)")
    if run.program in ("auth_cost", "capacity", "idempotency_cost") and find_spec("oauth2_provider") is None:
        pytest.skip("the peers are not installed (pip install '.[benchmarks]')")
    assert section(run, quick=True, database_url=database_url).count("\n") > 4
