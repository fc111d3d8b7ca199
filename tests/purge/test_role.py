"""The role of docs/audit.md that runs the purge needs no right beside the printed ones."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from securecore import clock
from securecore.models import Gate
from securecore.purge import purge
from tests.purge.test_purge import NOT_BY_EXPIRY, listed, one_of_each

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no roles"),
]
MANUAL = Path(__file__).parents[2] / "docs" / "audit.md"


@pytest.fixture
def purger() -> Iterator[str]:
    """A role with the rights that the page prints, and no others."""
    grants = re.findall(r"GRANT [^;]+ TO purger;", MANUAL.read_text())
    assert len(grants) == 3
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE purger")
        try:
            for statement in grants:
                cursor.execute(statement)
            yield "purger"
        finally:
            cursor.execute("RESET ROLE")
            cursor.execute("DROP OWNED BY purger")
            cursor.execute("DROP ROLE purger")


def test_role_of_the_manual_purges_every_table(purger: str) -> None:
    now = clock.now()
    one_of_each(now - dt.timedelta(days=1000))
    listed("old", now - dt.timedelta(hours=1))
    Gate.objects.create(principal="certificate:stranger", epoch=0)
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {purger}")
    purged = purge(now=now)
    assert purged.finished
    assert all(purged.rows.values()), purged.rows
    assert NOT_BY_EXPIRY.keys() <= purged.rows.keys()
