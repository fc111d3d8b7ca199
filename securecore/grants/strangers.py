"""The gates of certificates that nobody knows, deleted under live traffic.

Under the row gate each certificate of a trusted authority leaves a row, also by requests that are refused. Without this
purge, somebody who can get certificates could fill the table. A row is needed only while a transaction holds it: the
next one makes it anew (``gate._HELD_ROW``), and the epoch of a certificate's gate is compared with nothing.
"""

from __future__ import annotations

from django.db import transaction

from securecore import database
from securecore.conf import settings
from securecore.grants.principals import certificate

_PREFIX = certificate("")
#: A certificate that is enrolled, revoked or pending, or that holds a grant, keeps its gate: it is asked for often.
_UNKNOWN = f"""
    FROM securecore_gate g WHERE substr(g.principal, 1, {len(_PREFIX)}) = '{_PREFIX}'
    AND NOT EXISTS (SELECT 1 FROM securecore_certificate WHERE thumbprint = substr(g.principal, {len(_PREFIX) + 1}))
    AND NOT EXISTS (SELECT 1 FROM securecore_grant WHERE principal = g.principal AND revoked_at IS NULL)
"""  # noqa: S608


def count_unknown() -> int:
    """Return how many gates are those of unknown certificates."""
    with database.connection().cursor() as cursor:
        cursor.execute(f"SELECT count(*) {_UNKNOWN}")
        return int(cursor.fetchone()[0])


def forget_unknown(limit: int) -> int:
    """Delete up to ``limit`` gates of unknown certificates that no transaction holds; return how many."""
    connection = database.connection()
    if connection.vendor == "sqlite":
        which = f"principal IN (SELECT principal {_UNKNOWN} LIMIT %s)"
    else:
        which = f"principal = ANY(ARRAY(SELECT principal {_UNKNOWN} LIMIT %s FOR UPDATE OF g SKIP LOCKED))"
    with transaction.atomic(using=settings.DATABASE), connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM securecore_gate WHERE {which}", [limit])  # noqa: S608
        return int(cursor.rowcount)
