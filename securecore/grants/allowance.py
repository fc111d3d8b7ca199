"""Consumable grants: a number of uses and an amount in each period, for example 3 transfers and 500 euros a day.

One statement counts and refuses, so concurrent callers together cannot exceed the limit. The statement locks the
counter's row until the effect has committed. A second caller waits for the row lock and counts on from the new value.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from securecore import database, digests
from securecore.errors import Busy
from securecore.grants.limits import LARGEST_BIGINT
from securecore.grants.models import GrantUse
from securecore.grants.query.effective import EffectiveGrant

#: The counter of uses stops at its largest value. Only a grant that limits no uses, but an amount, can get there.
_SPEND = """
    INSERT INTO securecore_grant_use (id, grant_id, principal, uses, amount, expires_at) VALUES (%s, %s, %s, 1, %s, %s)
    ON CONFLICT (id) DO UPDATE SET amount = securecore_grant_use.amount + %s, uses = securecore_grant_use.uses
    + CASE WHEN securecore_grant_use.uses < 2147483647 THEN 1 ELSE 0 END
    WHERE securecore_grant_use.uses < %s AND securecore_grant_use.amount <= %s
"""

_ID: Any = GrantUse._meta.get_field("id")
_INSTANT: Any = GrantUse._meta.get_field("expires_at")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def spend(grants: Iterable[EffectiveGrant], *, by: str, amount: int | None, now: dt.datetime) -> bool:
    """Use the first of these consumable grants that has one use and ``amount`` left for ``by``; say whether one had.

    ``amount`` is a result of ``checked_amount``. With None a grant that limits an amount allows nothing, since the
    program did not name the amount of the effect. Periods are counted from 1970 in UTC: a period of 86,400 seconds is
    a day that ends at midnight. Needs the transaction of the effect.
    """
    with database.refused_when_locked(Busy):
        return any(
            _spend(grant, by, amount or 0, now) for grant in grants if amount is not None or grant.amount_limit is None
        )


def _spend(grant: EffectiveGrant, by: str, amount: int, now: dt.datetime) -> bool:
    uses_limit = LARGEST_BIGINT if grant.uses_limit is None else grant.uses_limit
    left = (LARGEST_BIGINT if grant.amount_limit is None else grant.amount_limit) - amount
    if left < 0:
        return False
    connection = database.connection()
    begin, end = _period(grant.period, now)
    key = _ID.get_db_prep_value(digests.record_id("grant-use", str(grant.id), by, begin), connection)
    until = _INSTANT.get_db_prep_value(end, connection)
    with connection.cursor() as cursor:
        cursor.execute(_SPEND, [key, grant.id, by, amount, until, amount, uses_limit, left])
        return bool(cursor.rowcount == 1)


def _period(seconds: int | None, now: dt.datetime) -> tuple[str, dt.datetime | None]:
    """Return the number of the period around ``now`` as text, and the end of the period."""
    if seconds is None:
        return "", None
    number = (now - _EPOCH) // dt.timedelta(seconds=seconds)
    return str(number), _EPOCH + (number + 1) * dt.timedelta(seconds=seconds)
