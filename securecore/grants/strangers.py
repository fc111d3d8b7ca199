"""The purge of gate rows of unknown certificates, under live traffic.

With ``GATE = "row"`` each certificate of a trusted authority leaves a row in ``securecore_gate``, also after a refused
request. Without this purge, an attacker with many certificates could fill the table. Only a transaction that locks the
row needs it: the next transaction inserts the row again (``gate.row``), and no code compares the epoch of a
certificate's gate.
"""

from __future__ import annotations

from collections.abc import Iterator

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


def forget_unknown(limit: int) -> Iterator[int]:
    """Delete the gate rows of unknown certificates that no transaction locks; yield the number of rows of each batch.

    A batch is a transaction of its own and has at most ``limit`` rows. A batch of fewer rows is the last one. On
    PostgreSQL a batch begins behind the last row of the batch before it, since deleted rows stay in the table until a
    VACUUM.
    """
    after, deleted = "", limit
    while deleted >= limit:
        deleted, after = _forget_batch(after, limit)
        yield deleted


def _forget_batch(after: str, limit: int) -> tuple[int, str]:
    """Delete up to ``limit`` rows behind the principal ``after``; return their number and their last principal."""
    connection = database.connection()
    if connection.vendor == "postgresql":
        chosen = f"{_UNKNOWN} AND g.principal > %s ORDER BY g.principal LIMIT %s FOR UPDATE OF g SKIP LOCKED"
        delete = f"DELETE FROM securecore_gate WHERE principal = ANY(ARRAY(SELECT principal {chosen}))"  # noqa: S608
        return database.delete_returning_last(delete, "principal", "max(principal)", [after, limit])
    with transaction.atomic(using=settings.DATABASE), connection.cursor() as cursor:
        chosen = f"SELECT principal {_UNKNOWN} LIMIT %s"
        cursor.execute(f"DELETE FROM securecore_gate WHERE principal IN ({chosen})", [limit])  # noqa: S608
        return int(cursor.rowcount), after
