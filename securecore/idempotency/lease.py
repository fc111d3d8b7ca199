"""A claim that commits before the effect, for effects that no rollback can undo.

During the lease no other request with the same key runs. If a process dies, its lease runs out, and the next request
takes the claim over and increments ``attempt``. If the first process is still alive, its old ``attempt`` no longer
matches, so it cannot store its response. Its call to the other service has happened all the same: the effect there
happens *at least once*, or once if the other service honours ``Claim.key_for``.
"""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from django.db.models import F, QuerySet

from securecore import audit, clock, database, events
from securecore.conf import settings
from securecore.errors import IdempotencyInProgress
from securecore.idempotency.models import IdempotencyRecord
from securecore.idempotency.record import Claim, insert, refuse_oversize, stored_response
from securecore.idempotency.response import StoredResponse, columns_of


def claim_lease(
    *, record: UUID, fingerprint: bytes, now: dt.datetime, lease: float, retention: float | None = None
) -> Claim | StoredResponse:
    """Claim ``record`` for ``lease`` seconds and commit the claim; return the stored response if there is one.

    Raises ``IdempotencyInProgress`` during another request's lease, which counts ``clock.SKEW`` longer because hosts'
    clocks differ. Raises ``IdempotencyKeyReused``, and ``Misuse`` inside a transaction.
    """
    until = now + dt.timedelta(seconds=lease + clock.SKEW)
    with (
        database.committed_transaction("@idempotent(lease=...)"),
        database.refused_when_locked(IdempotencyInProgress),
    ):
        if insert(
            record=record,
            fingerprint=fingerprint,
            now=now,
            retention=retention,
            wait=settings.LOCK_TIMEOUT,
            leased_until=until,
        ):
            return Claim(record, now)
        if stored := stored_response(record=record, fingerprint=fingerprint):
            return stored
        return _take_over(record, now=now, until=until)


def _take_over(record: UUID, *, now: dt.datetime, until: dt.datetime) -> Claim:
    """Take over a claim after the end of its lease. The UPDATE's row count decides which request takes it over."""
    rows = IdempotencyRecord.objects.using(settings.DATABASE).filter(pk=record)
    if not rows.filter(status=None, leased_until__lte=now).update(attempt=F("attempt") + 1, leased_until=until):
        raise IdempotencyInProgress
    row = rows.get()
    audit.report(events.LeaseTakenOver(record=str(record), attempt=row.attempt))
    return Claim(record, row.created_at, row.attempt)


def store_leased(claimed: Claim, response: StoredResponse, *, max_body: int | None = None) -> bool:
    """Store ``response`` if no later attempt has taken the claim over; return whether the response was stored.

    Commits by itself. Raises ``Misuse`` for a body that is too large.
    """
    refuse_oversize(response, max_body)
    columns = columns_of(response, record=claimed.record)
    return bool(_fenced(claimed).update(**columns, leased_until=None))


def release(claimed: Claim, *, now: dt.datetime) -> None:
    """End the lease without a stored response, so that the next request with the key runs at once."""
    _fenced(claimed).update(leased_until=now)


def _fenced(claimed: Claim) -> QuerySet[IdempotencyRecord]:
    own_attempt = {"pk": claimed.record, "attempt": claimed.attempt, "created_at": claimed.claimed_at}
    return IdempotencyRecord.objects.using(settings.DATABASE).filter(**own_attempt, status=None)
