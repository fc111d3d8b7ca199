"""A principal's name is compared whole: two long names that begin alike are two principals."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.models import CharField

from securecore import clock
from securecore.grants.query import effective
from securecore.grants.query.auth_tables import as_text

pytestmark = pytest.mark.django_db
LONG = "a" * 300


def selected(sql: str, **parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"name": LONG, **parameters})
        return [row[0] for row in cursor.fetchall()]


def test_as_text() -> None:
    assert selected(f"SELECT {as_text(CharField(), '%(name)s')}") == [LONG]


@pytest.mark.parametrize("kind", ["effective", "granted"])
def test_as_a_caller(now: Any, kind: str) -> None:
    """PostgreSQL cuts a text silently where it is cast to a shorter type."""
    parameters = effective.parameters(clock.now(), connection)
    if kind == "effective":
        rows = effective.effective_sql(names="SELECT %(name)s AS name", user="NULL")
        assert selected(rows, **parameters) == [LONG]
    else:
        from securecore.grants import Grant

        Grant.objects.create(principal="a" * 160, permission="x", granted_at=now)
        granted = effective.granted_sql(names=["%(name)s"], user="NULL")
        assert selected(f"SELECT {granted}", **parameters) in ([None], ["[]"])
