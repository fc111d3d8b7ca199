"""The plan of PostgreSQL for the first unsealed row."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from securecore.audit import chain
from securecore.audit.models import AuditRow
from tests.audit.test_chain import sql

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="the plan is PostgreSQL's"),
]


def test_seal_reads_no_sealed_row(db: None) -> None:
    """A minimum of the primary key would be read in its order: every sealed row before the first unsealed one."""
    columns = "at, event, subject, actor_kind, actor, address, request_id, reason, payload, expires_at"
    values = "now(), 'event', 'user:1', 'user', 'user:1', '', '', '', '{}', now()"
    sql(f"INSERT INTO securecore_audit ({columns}, position) SELECT {values}, row FROM generate_series(1, 20000) row")
    sql(f"INSERT INTO securecore_audit ({columns}) SELECT {values} FROM generate_series(1, 200)")
    sql("ANALYZE securecore_audit")
    statements: list[tuple[str, Any]] = []

    def noted(execute: Any, text: str, parameters: Any, *rest: Any) -> Any:
        statements.append((text, parameters))
        return execute(text, parameters, *rest)

    with connection.execute_wrapper(noted):
        first = chain._first_unsealed(from_id=0)
    assert first == AuditRow.objects.filter(position=None).order_by("id").values_list("id", flat=True)[0]
    [(text, parameters)] = statements
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {text}", parameters)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "securecore_audit_position_key" in plan, plan
