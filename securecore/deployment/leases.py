"""The trial of the leases: all processes have one ``LEASE_MS``, which each may name in ``application_name``."""

from __future__ import annotations

import re

from securecore import database
from securecore.conf import settings
from securecore.database import Statement
from securecore.deployment.concurrent_connections import ConcurrentConnections
from securecore.deployment.trials import Trial, Verdict, broken, kept, not_provable

#: ``pg_stat_activity`` shows the role of the login (``session_user``). ``assume_role`` changes ``current_user``.
#: PostgreSQL hides the type of a connection from a role that is no member of the other one.
_NAMES = Statement("""
    SELECT application_name, count(*) FROM pg_stat_activity
    WHERE COALESCE(backend_type, 'client backend') = 'client backend'
    AND datname = current_database() AND usename = session_user
    GROUP BY application_name ORDER BY application_name
""")
_OWN = Statement("SELECT current_setting('application_name')")
_LEASE = re.compile(r"\blease=(\d+)\b")
#: PostgreSQL cuts a longer name off after this many bytes.
_LONGEST = 63


def lease_trial(connections: ConcurrentConnections) -> Verdict:
    """A process with a longer lease than the revoking process uses a revoked answer after the revocation returned.

    No process sees the settings of another. If each names its lease to the database, the database shows them all.
    """
    here = settings.LEASE_MS
    connection = database.connection()
    if connection.vendor != "postgresql" or _named(_OWN.rows(connection, {})[0][0]) is None:
        return not_provable(f"LEASE_MS={here} here; compare lease_ms of --json on every host, or name the lease")
    counts = [(_named(name), count) for name, count in _NAMES.rows(connection, {})]
    others = sorted({lease for lease, _ in counts if lease not in (None, here)})
    if others:
        return broken(f"LEASE_MS={here} here, and other connections name {', '.join(map(str, others))}")
    if unnamed := sum(count for lease, count in counts if lease is None):
        return not_provable(f"LEASE_MS={here} here; {unnamed} connections name no lease")
    return kept(f"each of {sum(count for _, count in counts)} connections of now names lease={here}")


def _named(application: str) -> int | None:
    found = _LEASE.search(application)
    if found is None or (found.end() == len(application) and len(application.encode()) >= _LONGEST):
        return None  # digits may be cut off
    return int(found[1])


TRIALS = (Trial("P701", "Every process has the same lease", lease_trial),)
