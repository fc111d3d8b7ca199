"""Claim a key, store its response, and read the stored response, all in the transaction of the effect."""

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

#: 4xx statuses of which a retry may succeed, so a response with such a status is not stored.
_NOT_FINAL = {401, 403, 408, 409, 425, 429}

#: Seconds in which a stored response is replayed. Retry loops give up within hours; a day also covers a client that was
#: down overnight. A view with slower clients names its own ``retention``.
_RETENTION = 86_400
#: Bytes. A stored body is copied at each replay; a larger result belongs in the project's own table, and the response
#: names its URL. A view may name its own ``max_body``.
_MAX_BODY = 65_536

_COLUMNS = ("id", "fingerprint", "created_at", "expires_at")
#: The claims of a key: in the transaction of the effect, and with a lease.
CLAIM = database.ClaimStatement(IdempotencyRecord, _COLUMNS, is_bounded=True)
LEASED_CLAIM = database.ClaimStatement(IdempotencyRecord, (*_COLUMNS, "leased_until"), is_bounded=True)


@dataclass(frozen=True)
class Claim:
    """The right to run the effect of a key. ``attempt`` is above 1 if the claim was taken over from another process."""

    record: UUID
    claimed_at: dt.datetime
    attempt: int = 1

    def key_for(self, service: str) -> str:
        """Return the idempotency key to send to ``service``: a UUID that is the same in each attempt.

        Each service gets a different key. A service learns neither the caller nor the caller's key from it.
        """
        return str(digests.record_id("idempotency-derived", str(self.record), service))


def is_final(status: int) -> bool:
    """Say whether a response with ``status`` is stored for every repeat: 2xx, 3xx, and 4xx that no retry would
    change.
    """
    return 200 <= status < 500 and status not in _NOT_FINAL


def claim(
    *, record: UUID, fingerprint: bytes, now: dt.datetime, retention: float | None = None, wait: bool = True
) -> Claim | StoredResponse:
    """Claim ``record`` for ``retention`` seconds and return the ``Claim``; if it is claimed, return its response.

    Call it in the transaction of the effect; after a ``Claim``, run the effect. While a twin runs, waits for at most
    ``LOCK_TIMEOUT`` seconds (without ``wait``, for 1 ms), then raises ``IdempotencyInProgress``. Raises
    ``IdempotencyKeyReused`` if the key belongs to a request with another fingerprint. SQLite has one writer at a time,
    so there the wait may be for an unrelated transaction.
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
            database.limit_waits(settings.LOCK_TIMEOUT)  # the view's own locks get the usual timeout again
        return Claim(record, now)
    return stored_response(record=record, fingerprint=fingerprint) or _in_progress()


def insert(
    *,
    record: UUID,
    fingerprint: bytes,
    now: dt.datetime,
    retention: float | None,
    wait: float,
    leased_until: dt.datetime | None = None,
) -> bool:
    """Insert the row of a claim, or replace an expired row; return False if another claim has the key."""
    chosen, lease = (LEASED_CLAIM, {"leased_until": leased_until}) if leased_until else (CLAIM, {})
    return chosen.take(
        now=now,
        wait=wait,
        id=record,
        fingerprint=fingerprint,
        **lease,
        created_at=now,
        expires_at=now + dt.timedelta(seconds=retention or _RETENTION),
    )


def stored_response(*, record: UUID, fingerprint: bytes) -> StoredResponse | None:
    """Return the stored response of ``record``, or None while there is none. Raises ``IdempotencyKeyReused``."""
    row = IdempotencyRecord.objects.using(settings.DATABASE).get(pk=record)
    if not hmac.compare_digest(bytes(row.fingerprint), fingerprint):
        raise IdempotencyKeyReused
    return None if row.status is None else response_in(row)


def store(claimed: Claim, response: StoredResponse, *, max_body: int | None = None) -> None:
    """Store ``response`` in the claimed row. Call it in the transaction of the claim.

    Raises ``Misuse`` if the body has more than ``max_body`` bytes.
    """
    refuse_oversize(response, max_body)
    database.update(IdempotencyRecord, pk=claimed.record, **columns_of(response, record=claimed.record))


def refuse_oversize(response: StoredResponse, max_body: int | None) -> None:
    limit = max_body or _MAX_BODY
    if len(response.body) > limit:
        raise Misuse(
            f"The response has {len(response.body)} bytes, and {limit} may be stored under an Idempotency-Key. Return "
            "a reference to the result, or raise @idempotent(max_body=)."
        )


def _in_progress() -> StoredResponse:
    raise IdempotencyInProgress
