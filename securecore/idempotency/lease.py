"""A claim that is committed before the effect, for effects that no transaction can take back.

Nobody else runs while the lease lasts. A process that died leaves the lease to run out; the next one counts
``attempt`` up, and the first, should it live after all, can no longer store its response. What it did at the far side
it has done: there the effect is *at least once*, and once if the far side honours ``Claim.key_for``.
"""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from django.db.models import F, QuerySet

from securecore import database, events
from securecore.conf import settings
from securecore.errors import IdempotencyInProgress
from securecore.idempotency.models import IdempotencyRecord
from securecore.idempotency.record import Claim, insert, refuse_oversize, standing
from securecore.idempotency.response import StoredResponse, columns_of


def claim_lease(
    *, record: UUID, fingerprint: bytes, now: dt.datetime, lease: float, retention: float | None = None
) -> Claim | StoredResponse:
    """Claim ``record`` for ``lease`` seconds and commit that. If it has a response, return it.

    Raises ``IdempotencyInProgress`` while another's lease lasts (``CLOCK_SKEW`` longer, since its clock may be
    another), ``IdempotencyKeyReused``, and ``Misuse`` inside a transaction.
    """
    until = now + dt.timedelta(seconds=lease + settings.CLOCK_SKEW)
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
        if stored := standing(record=record, fingerprint=fingerprint):
            return stored
        return _take_over(record, now=now, until=until)


def _take_over(record: UUID, *, now: dt.datetime, until: dt.datetime) -> Claim:
    """Take a claim whose lease has run out. The row count says who did."""
    rows = IdempotencyRecord.objects.using(settings.DATABASE).filter(pk=record)
    if not rows.filter(status=None, leased_until__lte=now).update(attempt=F("attempt") + 1, leased_until=until):
        raise IdempotencyInProgress
    row = rows.get()
    events.emit(events.LeaseTakenOver(record=str(record), attempt=row.attempt))
    return Claim(record, row.created_at, row.attempt)


def store_leased(claimed: Claim, response: StoredResponse, *, max_body: int | None = None) -> bool:
    """Let the record stand for ``response``, if the claim is still the last one, and say whether it is.

    Commits by itself. Raises ``Misuse`` for a body that is too large.
    """
    refuse_oversize(response, max_body)
    columns = columns_of(response, record=claimed.record)
    return bool(_fenced(claimed).update(**columns, leased_until=None))


def release(claimed: Claim, *, now: dt.datetime) -> None:
    """Let the next request run at once: this one got no answer worth keeping."""
    _fenced(claimed).update(leased_until=now)


def _fenced(claimed: Claim) -> QuerySet[IdempotencyRecord]:
    mine = {"pk": claimed.record, "attempt": claimed.attempt, "created_at": claimed.claimed_at}
    return IdempotencyRecord.objects.using(settings.DATABASE).filter(**mine, status=None)
