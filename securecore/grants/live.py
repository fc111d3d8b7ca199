"""The definition of a live grant: for Django's queries, for SQL, and for the bounds of a row that was read.

A grant is *revoked* once ``revoked_at`` is set. It has *ended* once it is revoked or ``valid_until`` has come. It is
*live* if it has not ended and ``valid_from`` has come. Null is no bound. Example: a grant from Monday 9:00 to Friday
17:00 is live at Monday 9:00, and has ended at Friday 17:00.
"""

from __future__ import annotations

import datetime as dt

from django.db.models import Q

NOT_REVOKED = Q(revoked_at=None)


def not_revoked_sql(grant: str) -> str:
    """Return the condition that the row ``grant``, an alias of ``securecore_grant``, is not revoked."""
    return f"{grant}.revoked_at IS NULL"


def not_ended_sql(grant: str, now: str = "%(now)s") -> str:
    """Return the condition that the row has not ended at ``now``, an SQL expression. It may begin later."""
    return f"{not_revoked_sql(grant)} AND ({grant}.valid_until IS NULL OR {grant}.valid_until > {now})"


def live_sql(grant: str, now: str = "%(now)s") -> str:
    """Return the condition that the row is live at ``now``, an SQL expression."""
    return f"{not_ended_sql(grant, now)} AND ({grant}.valid_from IS NULL OR {grant}.valid_from <= {now})"


def is_live(valid_from: dt.datetime | None, valid_until: dt.datetime | None, *, now: dt.datetime) -> bool:
    """Say whether a row that is not revoked is live at ``now``, for a check that has waited since it sent its query."""
    return (valid_from is None or valid_from <= now) and (valid_until is None or valid_until > now)
