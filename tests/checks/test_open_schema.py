"""W713: a role that may create functions in a schema of the search path runs its code as the service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from securecore.checks.access import w713_open_schema

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no roles"),
]


@pytest.fixture
def stranger() -> Iterator[None]:
    """A role without any right, in a schema as PostgreSQL made it before version 15."""
    with connection.cursor() as cursor:
        cursor.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        cursor.execute("CREATE ROLE stranger")
        yield  # the transaction of the test takes both back


@pytest.mark.usefixtures("stranger")
def test_open_schema_is_reported_and_lets_a_stranger_in() -> None:
    (problem,) = w713_open_schema(databases=["default"])
    assert (problem.id, "'public'" in problem.msg) == ("securecore.W713", True)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE stranger")
        cursor.execute(
            "CREATE FUNCTION public.substr(varchar, integer) RETURNS text LANGUAGE sql AS 'SELECT current_user'"
        )
        cursor.execute("RESET ROLE")
        cursor.execute("SELECT substr(username, 2) FROM (SELECT 'alice'::varchar(150) AS username) AS users")
        assert cursor.fetchall() == [("postgres",)]
        cursor.execute("DROP FUNCTION public.substr(varchar, integer)")
        cursor.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    assert w713_open_schema(databases=["default"]) == []


def test_open_schema_is_looked_for_with_the_database_only() -> None:
    assert w713_open_schema() == []
