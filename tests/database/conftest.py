"""A PostgreSQL of these tests alone, with statistics of its plans, and with ``pg_dump`` of the same version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import dj_database_url
import pytest
from django.core.management import call_command
from django.db import connection

from tests.support.postgres import Server, server

#: Count the plans of every statement, also of those in a function.
STATISTICS = {
    "shared_preload_libraries": "pg_stat_statements",
    "compute_query_id": "on",
    "pg_stat_statements.track": "all",
    "pg_stat_statements.track_planning": "on",
}
GoTo = Callable[[str], AbstractContextManager[None]]


@pytest.fixture(scope="package")
def own_server(django_db_setup: None, django_db_blocker: Any) -> Iterator[Server]:
    """A server of the embedded binaries, with the tables, triggers and functions of ``migrate``."""
    with server(**STATISTICS) as postgres:
        with django_db_blocker.unblock(), _connected(postgres, "postgres"):
            call_command("migrate", verbosity=0)
        yield postgres


@pytest.fixture
def go_to(own_server: Server, transactional_db: None) -> GoTo:
    """``with go_to("postgres")`` sends each query of the block to this database of ``own_server``."""
    return lambda name: _connected(own_server, name)


@contextmanager
def _connected(postgres: Server, name: str) -> Iterator[None]:
    """Connect as Django does by default, without ``OPTIONS``."""
    there = dj_database_url.parse(postgres.url.removesuffix("postgres") + name)
    with pytest.MonkeyPatch.context() as changed:
        connection.close()
        for key in ("HOST", "PORT", "NAME", "USER", "PASSWORD"):
            changed.setitem(connection.settings_dict, key, there[key])
        changed.setitem(connection.settings_dict, "OPTIONS", {})
        try:
            yield
        finally:
            connection.close()
