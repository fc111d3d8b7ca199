"""No statement of the control room reads more rows than its bound, however many rows the tables have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from securecore import clock
from securecore.control_room import figures
from securecore.control_room.bounded import COUNTED
from tests.support.bad_night import populate

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="the plans of PostgreSQL"),
]

#: Rows of each table. A statement that reads a tenth of a table is found.
ROWS = 20_000
#: A certificate is read with its user, and with the user's later enrolments.
MOST_ROWS = 2 * (COUNTED + 1)
#: Tables that an operator or the code keeps small, and the views of PostgreSQL.
SMALL = {"securecore_revocation_list", "securecore_last_run", "securecore_lockout"}


@pytest.fixture
def night() -> None:
    with connection.cursor() as cursor:
        populate(cursor.execute, now=clock.now(), rows=ROWS, grants=ROWS)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


def rows_read(node: dict[str, Any]) -> float:
    """Return the rows that a node of a plan read from its table, with those that a condition left out."""
    filtered = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return float((node["Actual Rows"] + filtered) * node["Actual Loops"])


def explained(sql: str) -> Iterator[dict[str, Any]]:
    """Run a statement, and yield the nodes of its plan that read a table of which the size has no bound."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}".replace("%", "%%"), {})
        [[[plan]]] = cursor.fetchall()
    for node in nodes(plan["Plan"]):
        table = node.get("Relation Name", "")
        if table and table not in SMALL and not table.startswith("pg_"):
            yield node


def faults(sql: str) -> Iterator[str]:
    for node in explained(sql):
        if (rows := rows_read(node)) > MOST_ROWS:
            yield f"{rows:,.0f} rows of {node['Relation Name']}: {sql}"


def without_index(sql: str) -> Iterator[str]:
    """Yield the tables that the statement scans even where a scan costs more than anything else, also empty tables."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    yield from (node["Relation Name"] for node in explained(sql) if node["Node Type"] == "Seq Scan")
    with connection.cursor() as cursor:
        cursor.execute("RESET enable_seqscan")


def test_no_statement_reads_a_whole_table(night: None) -> None:
    with CaptureQueriesContext(connection) as captured:
        figures.read(clock.now())
    statements = [each["sql"] for each in captured if each["sql"].lstrip().startswith(("SELECT", "WITH"))]
    assert 20 < len(statements) < 50
    assert not [fault for sql in statements for fault in faults(sql)]
    assert not {table for sql in statements for table in without_index(sql)}

    scan = "SELECT count(*) FROM securecore_refusal_total WHERE code = 'x'"
    assert next(faults(scan)).endswith(f" rows of securecore_refusal_total: {scan}"), "a test that cannot fail"
    assert list(faults("SELECT sum(count) FROM securecore_refusal_total WHERE seconds = 3600"))
    assert list(without_index("SELECT 1 FROM securecore_revoked_token")) == []
    assert list(without_index("SELECT min(expires_at) FROM securecore_audit")) == ["securecore_audit"]
