"""Claim a key, store its response, give the response again: all in the transaction of the effect."""

from __future__ import annotations

import datetime as dt
import hmac
from dataclasses import dataclass
from uuid import UUID

from securecore import database, digests
from securecore.conf import settings
from securecore.errors import IdempotencyInProgress, IdempotencyKeyReused, Misuse
from securecore.idempotency.models import IdempotencyRecord
from securecore.idempotency.response import StoredResponse, columns_of, response_in

#: 4xx answers that another try could turn into a success, so they must not be what the key stands for.
_NOT_FINAL = {401, 403, 408, 409, 425, 429}


@dataclass(frozen=True)
class Claim:
    """The right to have the effect of a key. ``attempt`` is above one if another process had it, and lost it."""

    record: UUID
    claimed_at: dt.datetime
    attempt: int = 1

    def key_for(self, service: str) -> str:
        """Return the key to pass on to ``service``: a UUID, the same in each attempt, another one for each service.

        It tells neither the caller nor its key.
        """
        return str(digests.record_id("idempotency-derived", str(self.record), service))


def is_final(status: int) -> bool:
    """Say whether a response with ``status`` is what every repeat shall get: 2xx, 3xx and 4xx that no retry would
    change.
    """
    return 200 <= status < 500 and status not in _NOT_FINAL


def claim(
    *, record: UUID, fingerprint: bytes, now: dt.datetime, retention: float | None = None, wait: bool = True
) -> Claim | StoredResponse:
    """Claim ``record`` for ``retention`` seconds: the caller runs the effect. If it is taken, return its response.

    Needs the transaction of the effect. Waits for a twin that is still running, at most ``LOCK_TIMEOUT`` seconds or,
    without ``wait``, not at all, then raises ``IdempotencyInProgress``; raises ``IdempotencyKeyReused`` if the key
    stood for another request. SQLite has one writer at a time and cannot tell whom it waits for.
    """
    with database.refused_when_locked(IdempotencyInProgress):
        claimed = insert(
            record=record,
            fingerprint=fingerprint,
            now=now,
            retention=retention,
            wait=settings.LOCK_TIMEOUT if wait else 0.001,
        )
    if claimed:
        if not wait:
            database.limit_waits(settings.LOCK_TIMEOUT)  # the view's own waits are another matter
        return Claim(record, now)
    return standing(record=record, fingerprint=fingerprint) or _in_progress()


def insert(
    *,
    record: UUID,
    fingerprint: bytes,
    now: dt.datetime,
    retention: float | None,
    wait: float,
    leased_until: dt.datetime | None = None,
) -> bool:
    """Insert the row of a claim, or take over one that has expired, and say whether this call did."""
    lease = {"leased_until": leased_until} if leased_until else {}
    return database.claim(
        IdempotencyRecord,
        now=now,
        wait=wait,
        id=record,
        fingerprint=fingerprint,
        **lease,
        created_at=now,
        expires_at=now + dt.timedelta(seconds=retention or settings.IDEMPOTENCY_RETENTION),
    )


def standing(*, record: UUID, fingerprint: bytes) -> StoredResponse | None:
    """Return the response for which ``record`` stands, or None while there is none. Raises ``IdempotencyKeyReused``."""
    row = IdempotencyRecord.objects.using(settings.DATABASE).get(pk=record)
    if not hmac.compare_digest(bytes(row.fingerprint), fingerprint):
        raise IdempotencyKeyReused
    return None if row.status is None else response_in(row)


def store(claimed: Claim, response: StoredResponse, *, max_body: int | None = None) -> None:
    """Let the record stand for ``response``. Needs the transaction of the claim. Raises ``Misuse`` if the body has more
    than ``max_body`` bytes.
    """
    refuse_oversize(response, max_body)
    database.update(IdempotencyRecord, pk=claimed.record, **columns_of(response, record=claimed.record))


def refuse_oversize(response: StoredResponse, max_body: int | None) -> None:
    limit = max_body or settings.IDEMPOTENCY_MAX_BODY
    if len(response.body) > limit:
        raise Misuse(
            f"The response has {len(response.body)} bytes, and {limit} may be stored under an Idempotency-Key. Answer "
            f"with a reference to the result, or raise max_body of the view or SECURECORE['IDEMPOTENCY_MAX_BODY']."
        )


def _in_progress() -> StoredResponse:
    raise IdempotencyInProgress
