"""A deployment for each test: a database that the test may break, and the report about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import dj_database_url
import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from securecore.conf import django_settings
from securecore.models import LastRun
from tests.support.postgres import Server, server

Traces = Callable[[], bool]


@dataclass
class Report:
    code: int
    details: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)

    def ids(self, outcome: str) -> set[str]:
        return {each for each, has in self.outcomes.items() if has == outcome}


def prove(*arguments: str) -> Report:
    """Run the command, and return its exit code and its JSON."""
    out, code = StringIO(), 0
    try:
        call_command("securecore_prove", "--json", *arguments, stdout=out)
    except SystemExit as exit:
        code = int(str(exit.code))
    printed = json.loads(out.getvalue())
    assert printed["exit_code"] == code
    results = printed["results"]
    return Report(code, {r["id"]: r["detail"] for r in results}, {r["id"]: r["outcome"] for r in results})


@contextmanager
def database(url: str, **options: Any) -> Iterator[str]:
    """Let the database at ``url`` be that of securecore; yield its alias.

    securecore caches SQL by alias, so each vendor has one.
    """
    parsed: dict[str, Any] = {**dj_database_url.parse(url), "OPTIONS": options}
    alias = f"proved_{parsed['ENGINE'].rpartition('.')[2]}"
    given = {**connections.databases["default"], **parsed}
    securecore = {**django_settings.SECURECORE, "DATABASE": alias}
    connections.databases[alias] = given
    try:
        with override_settings(SECURECORE=securecore):
            yield alias
    finally:
        connections[alias].close()
        del connections[alias], connections.databases[alias]


@pytest.fixture(scope="package")
def postgres(django_db_blocker: Any) -> Iterator[Server]:
    """A durable server with securecore's tables."""
    with server(fsync="on", full_page_writes="on") as running, django_db_blocker.unblock():
        with database(running.url) as alias:
            call_command("migrate", "securecore", database=alias, verbosity=0)
        yield running


def rows(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Return the number of rows in each table of securecore, but that of the verdicts themselves."""
    named = "SELECT tablename FROM pg_tables WHERE starts_with(tablename, 'securecore_') AND tablename <> %s"
    count = psycopg.sql.SQL("SELECT count(*) FROM {}")
    tables = [name for (name,) in connection.execute(named, [LastRun._meta.db_table]).fetchall()]
    return {name: connection.execute(count.format(psycopg.sql.Identifier(name))).fetchall()[0][0] for name in tables}


@pytest.fixture
def has_traces(postgres: Server) -> Traces:
    """A function that says whether a table has more rows or fewer than when the test began."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        expected = rows(connection)

    def differ() -> bool:
        with psycopg.connect(postgres.url, autocommit=True) as now:
            return rows(now) != expected

    return differ


@pytest.fixture
def primary(postgres: Server) -> Iterator[psycopg.Connection[Any]]:
    """The deployment on that server, and a connection that breaks it."""
    with database(postgres.url), psycopg.connect(postgres.url, autocommit=True) as breaking:
        yield breaking


@pytest.fixture(scope="package")
def sqlite_file(django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file with securecore's tables. Connections to a database in memory would not wait for each other."""
    path = tmp_path_factory.mktemp("prove") / "db.sqlite3"
    with django_db_blocker.unblock():
        with database(f"sqlite:///{path}", init_command="PRAGMA synchronous=OFF") as alias:
            call_command("migrate", "securecore", database=alias, verbosity=0)
        yield path
