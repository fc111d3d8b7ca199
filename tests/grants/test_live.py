"""The forms of the definition of a live grant agree."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection

from securecore.grants import Grant
from securecore.grants.live import NOT_REVOKED, is_live, live_sql, not_ended_sql, not_revoked_sql
from tests.grants.conftest import MAKE

pytestmark = pytest.mark.django_db

SECOND = dt.timedelta(seconds=1)


@pytest.mark.parametrize("revoked", [False, True])
@pytest.mark.parametrize("until", [-SECOND, 0 * SECOND, SECOND, None])
@pytest.mark.parametrize("begins", [-2 * SECOND, 0 * SECOND, SECOND, None])
def test_sql_python_and_query_sets_agree(
    now: dt.datetime, begins: dt.timedelta | None, until: dt.timedelta | None, revoked: bool
) -> None:
    valid_from = None if begins is None else now + begins
    valid_until = None if until is None else now + until
    if valid_from is not None and valid_until is not None and valid_from >= valid_until:
        return  # the database refuses such a grant
    row = Grant.objects.create(
        principal="user:1",
        permission=MAKE,
        granted_at=now,
        valid_from=valid_from,
        valid_until=valid_until,
        revoked_at=now if revoked else None,
    )
    has_begun = begins is None or begins <= 0 * SECOND
    has_ended = revoked or (until is not None and until <= 0 * SECOND)
    assert selects(not_revoked_sql("g"), now) == Grant.objects.filter(NOT_REVOKED, pk=row.pk).exists() == (not revoked)
    assert selects(not_ended_sql("g"), now) == (not has_ended)
    assert selects(live_sql("g"), now) == (has_begun and not has_ended)
    assert (not revoked and is_live(valid_from, valid_until, now=now)) == (has_begun and not has_ended)


def selects(condition: str, now: dt.datetime) -> bool:
    parameter: Any = connection.ops.adapt_datetimefield_value(now)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM securecore_grant g WHERE {condition}", {"now": parameter})
        return cursor.fetchone() is not None
