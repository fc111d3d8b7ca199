"""Each program behind the manual's figures starts, runs a round, and prints its table."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from django.db import connection

from benchmarks.__main__ import MANUAL, RUNS, Run, output
from benchmarks.pages import END, refreshed
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
    assert output(run, quick=True, database_url=database_url).count("\n") > 4


def test_figures_replace_those_of_the_same_program_only() -> None:
    page = refreshed(refreshed("# A page\n", "One", "one", "    1 us\n"), "Two", "two", "    2 us\n")
    again = refreshed(page, "One", "one", "    3 us\n")
    assert again == page.replace("1 us", "3 us")
    assert again.count("## ") == again.count(END) == 2


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_a_page_has_one_place_for_the_figures_of_a_run(run: Run) -> None:
    page = (MANUAL / run.page).read_text()
    places = page.count(f"<!-- figures: {run.name} -->")
    assert places == 1 or (places == 0 and run.page == "performance.md")


def test_needs_are_those_of_the_default_lifetimes() -> None:
    """The benchmarks' own settings let a token live for an hour, so that none expires during a run."""
    if find_spec("oauth2_provider") is None:
        pytest.skip("the peers are not installed (pip install '.[benchmarks]')")
    probe = "import benchmarks.capacity as c; k = dict.fromkeys(['bare request', 'request with a token', 'nonce', "
    probe += "'idempotency key', 'refresh', 'revoked token'], c.Cost(1, 1, 1, 1)); "
    probe += "print(c.needs(k, 1000, 100_000)['refresh tokens'])"
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-c", probe]
    done = subprocess.run(command, cwd=MANUAL.parent, env=environment, capture_output=True, text=True, check=True)
    assert float(done.stdout) == 100_000 * 0.05 / 300 * 14 * 86_400
