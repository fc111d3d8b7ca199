"""The transaction of a check: its limits, and the conditions under which its reads are current."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from securecore.conf import settings
from securecore.database import Statement, lock_timeout
from securecore.errors import DatabaseUnavailable, Misuse

#: The longest pause, in seconds, between two statements of a transaction that holds a gate; after it PostgreSQL ends
#: the session. A revocation waits for such a transaction. So a view with a longer pause, for example for a call to
#: another service, enters the gate at its end (``late_gate``).
IDLE_TIMEOUT = 10.0

#: Columns of a check on PostgreSQL that limit the waits for locks and the pauses between statements.
LIMITS = (
    "set_config('lock_timeout', %(sc_timeout)s, true), "
    "set_config('idle_in_transaction_session_timeout', %(sc_idle)s, true)"
)
#: Columns of a check on PostgreSQL for ``require_current``: the isolation level and the server's role.
INSPECTION = "current_setting('transaction_isolation'), pg_is_in_recovery()"
_PREPARATION = Statement(f"SELECT {INSPECTION}, {LIMITS}")


def limits() -> dict[str, Any]:
    """Return the parameters of ``LIMITS``."""
    return {"sc_timeout": lock_timeout(settings.LOCK_TIMEOUT), "sc_idle": lock_timeout(IDLE_TIMEOUT)}


def prepare_check(connection: BaseDatabaseWrapper) -> None:
    """Limit the waits and pauses of a check's transaction, and require that its reads are current."""
    if connection.vendor == "postgresql":
        require_current(*_PREPARATION.rows(connection, limits())[0][:2])


def require_current(isolation: str, is_replica: bool) -> None:
    """Raise ``Misuse`` unless a read after a lock sees the commits from before the lock. Takes ``INSPECTION``.

    Raises ``DatabaseUnavailable`` (503) on a standby: a failover may lead a connection to one that is being promoted.
    """
    if isolation not in ("read committed", "read uncommitted"):
        raise Misuse(
            f"This transaction is {isolation.upper()}: it would read the permission as it was when the transaction "
            f"began, before the revocation that the check waited for. Use READ COMMITTED, PostgreSQL's default, for "
            f"authorize(): remove 'isolation_level' from OPTIONS and SET TRANSACTION from the code before authorize()."
        )
    if is_replica:
        raise DatabaseUnavailable from replica_misuse()


def replica_misuse() -> Misuse:
    """Return the reason why no permission is decided here. During a failover it is the cause of a refusal (503)."""
    return Misuse(
        f"DATABASES[{settings.DATABASE!r}] is a replica, which gets a revocation later and has no locks, or this "
        f"transaction is read-only. Name the primary in SECURECORE['DATABASE']."
    )
