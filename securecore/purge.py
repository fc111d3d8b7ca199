"""The purge: deletes expired rows in bounded batches under live traffic.

A purge never decides anything, since every reader and every claim compares ``expires_at`` itself. A row is deleted
``clock.SKEW`` seconds after it expired, so that a host with a slow clock still finds the row.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import models

from securecore import audit, clock, database, last_runs
from securecore.conf import settings
from securecore.grants import strangers
from securecore.identity import revocation_list
from securecore.models import (
    AuditRow,
    Certificate,
    CertificateIdentifier,
    Grant,
    GrantUse,
    IdempotencyRecord,
    Lockout,
    OneTimeToken,
    RefreshFamily,
    RefreshToken,
    RefusalCount,
    RefusalTotal,
    RevocationList,
    RevokedToken,
    SeenNonce,
    Session,
    SigningKey,
)

#: Rows. `benchmarks.purge` deletes a batch in about 6 ms. A larger batch holds its row locks for longer.
BATCH_SIZE = 5_000

#: Seconds. After its end a certificate is refused by its dates, so its row decides nothing. The row stays for three
#: months, so that an operator sees the name and the user of a certificate that expired by mistake.
_CERTIFICATE_RETENTION = 90 * 86_400

#: The outcome of a run without rows left to delete, in the table of the last runs.
FINISHED = "finished"

#: Gates do not expire. Only the gates of unknown certificates are purged: each new certificate adds a row.
_GATES = "securecore_gate"


@dataclass(frozen=True)
class Expiring:
    """A table to purge. A row may be deleted ``retention`` seconds after its column ``instant``."""

    model: type[models.Model]
    instant: str = "expires_at"
    retention: int = 0

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    def until(self, now: dt.datetime) -> dt.datetime:
        return now - dt.timedelta(seconds=self.retention + clock.SKEW)

    def delete(self, *, until: dt.datetime, limit: int) -> Iterator[int]:
        """Delete the expired rows; yield the number of rows of each batch, of at most ``limit`` rows."""
        if self.model is AuditRow:
            return audit.delete_in_batches(until=until, limit=limit)
        return database.delete_in_batches(self.model, self.instant, until=until, limit=limit)

    def lag(self, now: dt.datetime) -> float:
        """Return the age in seconds of the oldest row that a purge should have deleted; 0 without one.

        Reads one row by an index. ``expires_at`` of an audit row has none: there the first row is the oldest.
        """
        if self.model is AuditRow:
            oldest = audit.oldest_expiry()
        else:
            rows = self.model._default_manager.using(settings.DATABASE)
            oldest = rows.aggregate(oldest=models.Min(self.instant))["oldest"]
        return 0.0 if oldest is None else max(0.0, (self.until(now) - oldest).total_seconds())


#: The entries of a revocation list go with the list, which expires ten years after its ``nextUpdate``.
_LISTS, _LISTED = Expiring(RevocationList), "securecore_listed_certificate"


@dataclass(frozen=True)
class Purged:
    """The number of deleted rows of each table, and whether every table was finished before ``max_seconds``."""

    rows: dict[str, int]
    finished: bool


def expiring() -> list[Expiring]:
    """Return the tables that grow with use and whose rows expire. A grant expires by either of two columns.

    The gates and the revocation lists have purges of their own. No other table grows with use.
    """
    return [
        Expiring(SeenNonce),
        Expiring(RevokedToken),
        Expiring(OneTimeToken),
        Expiring(RefreshToken),
        # An access token may outlive its refresh-token family, and each request with the token reads the family's row.
        Expiring(RefreshFamily, retention=settings.ACCESS_TOKEN_LIFETIME),
        Expiring(SigningKey),
        Expiring(IdempotencyRecord),
        Expiring(Session),
        Expiring(Certificate, "not_after", _CERTIFICATE_RETENTION),
        Expiring(CertificateIdentifier),
        Expiring(Lockout),
        Expiring(Grant, "revoked_at", settings.HISTORY_RETENTION),
        Expiring(Grant, "valid_until", settings.HISTORY_RETENTION),
        Expiring(GrantUse),
        Expiring(RefusalCount),
        Expiring(RefusalTotal),
        Expiring(AuditRow),
    ]


def lags(now: dt.datetime) -> dict[str, float]:
    """Return the lag of the purge in each table, in seconds. Runs one statement for each of ``expiring()``."""
    longest = dict[str, float]()
    for each in expiring():  # a grant expires by either of two columns
        longest[each.table] = max(longest.get(each.table, 0.0), each.lag(now))
    return longest


def count_expired(*, now: dt.datetime) -> dict[str, int]:
    """Return the number of rows that a purge would delete, for each table."""
    conditions = defaultdict[type[models.Model], models.Q](models.Q)
    for each in expiring():  # a grant that has expired by both of its columns is one row
        conditions[each.model] |= models.Q(**{f"{each.instant}__lte": each.until(now)})
    rows = {
        model._meta.db_table: model._default_manager.using(settings.DATABASE).filter(condition).count()
        for model, condition in conditions.items()
    }
    rows[AuditRow._meta.db_table] = audit.count_expired(Expiring(AuditRow).until(now))
    listed = revocation_list.count_expired_entries(_LISTS.until(now))
    return {**rows, _LISTED: listed, _GATES: strangers.count_unknown()}


def purge(
    *,
    now: dt.datetime,
    batch_size: int = BATCH_SIZE,
    max_seconds: float | None = None,
    progress: Callable[[str, int], None] = lambda table, rows: None,
) -> Purged:
    """Delete expired rows in transactions of at most ``batch_size`` rows; begin no batch after ``max_seconds``.

    Any number of purges may run at once, beside live traffic. ``progress`` is called after each batch with the table
    and the number of its rows deleted so far. Memory is constant. Raises ``Misuse`` inside a transaction.

    The table of the last runs keeps the end of this run, for the control room.
    """
    database.require_no_transaction("A purge")
    began = time.monotonic()
    purged = _purge(now, batch_size, max_seconds, progress)
    seconds = time.monotonic() - began
    detail = f"{sum(purged.rows.values()):,} rows deleted in {seconds:.1f} s"
    outcome = FINISHED if purged.finished else "stopped"
    last_runs.record({last_runs.PURGE: (outcome, detail)}, now=now + dt.timedelta(seconds=seconds))
    return purged


def _purge(
    now: dt.datetime, batch_size: int, max_seconds: float | None, progress: Callable[[str, int], None]
) -> Purged:
    deadline = None if max_seconds is None else time.monotonic() + max_seconds
    tables = [(each.table, each.delete(until=each.until(now), limit=batch_size)) for each in expiring()]
    tables.append((_LISTED, revocation_list.delete_expired_entries(_LISTS.until(now), batch_size)))
    tables.append((_GATES, strangers.forget_unknown(batch_size)))
    rows = {table: 0 for table, _ in tables}
    # The audit comes last: a backlog of rows to seal takes minutes, and no other table may wait for it.
    for table, batches in sorted(tables, key=lambda each: each[0] == AuditRow._meta.db_table):
        while True:
            if deadline is not None and time.monotonic() >= deadline:
                return Purged(rows, finished=False)
            deleted = next(batches, None)
            if deleted is None:
                break
            rows[table] += deleted
            progress(table, rows[table])
    return Purged(rows, finished=True)
