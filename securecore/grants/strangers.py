"""The purge of gate rows of unknown certificates, under live traffic.

With ``GATE = "row"`` each certificate of a trusted authority leaves a row in ``securecore_gate``, also after a refused
request. Without this purge, an attacker with many certificates could fill the table. Only a transaction that locks the
row needs it: the next transaction inserts the row again (``gate.row``), and no code compares the epoch of a
certificate's gate.
"""

from __future__ import annotations

from django.db import transaction

from securecore import database
from securecore.conf import settings
from securecore.grants.live import not_revoked_sql

_PREFIX = "certificate:"
#: A certificate that is enrolled, revoked or pending, or that has a grant, keeps its row, since its requests use it.
_UNKNOWN = f"""
    FROM securecore_gate g WHERE substr(g.principal, 1, {len(_PREFIX)}) = '{_PREFIX}'
    AND NOT EXISTS (SELECT 1 FROM securecore_certificate WHERE thumbprint = substr(g.principal, {len(_PREFIX) + 1}))
    AND NOT EXISTS (SELECT 1 FROM securecore_grant r WHERE r.principal = g.principal AND {not_revoked_sql("r")})
"""  # noqa: S608


def count_unknown() -> int:
    """Return the number of gate rows of unknown certificates."""
    with database.connection().cursor() as cursor:
        cursor.execute(f"SELECT count(*) {_UNKNOWN}")
        return int(cursor.fetchone()[0])


def forget_unknown(limit: int) -> int:
    """Delete up to ``limit`` gate rows of unknown certificates that no transaction locks; return their number."""
    connection = database.connection()
    if connection.vendor == "sqlite":
        chosen = f"principal IN (SELECT principal {_UNKNOWN} LIMIT %s)"
    else:
        chosen = f"principal = ANY(ARRAY(SELECT principal {_UNKNOWN} LIMIT %s FOR UPDATE OF g SKIP LOCKED))"
    with transaction.atomic(using=settings.DATABASE), connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM securecore_gate WHERE {chosen}", [limit])  # noqa: S608
        return int(cursor.rowcount)
