"""Claim a key, store its response, give the response again."""

from __future__ import annotations

import datetime as dt
import hmac
from dataclasses import dataclass, field
from uuid import UUID

from securecore import db
from securecore.conf import settings
from securecore.errors import IdempotencyInProgress, IdempotencyKeyReused, Misuse
from securecore.idempotency.models import IdempotencyRecord

#: 4xx answers that another try could turn into a success, so they must not be what the key stands for.
_NOT_FINAL = {401, 403, 408, 409, 425, 429}


@dataclass(frozen=True)
class StoredResponse:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def is_final(status: int) -> bool:
    """Say whether a response with ``status`` is what every repeat shall get: 2xx, 3xx and 4xx that no retry would
    change.
    """
    return 200 <= status < 500 and status not in _NOT_FINAL


def claim(*, record: UUID, fingerprint: bytes, now: dt.datetime) -> StoredResponse | None:
    """Claim ``record`` and return None: the caller runs the effect. If it is taken, return the response it stands for.

    Needs the transaction of the effect. Waits for a twin that is still running, at most ``LOCK_TIMEOUT`` seconds, then
    raises ``IdempotencyInProgress``; raises ``IdempotencyKeyReused`` if the key stood for another request.
    """
    until = now + dt.timedelta(seconds=settings.IDEMPOTENCY_RETENTION)
    with db.bounded_wait(IdempotencyInProgress):
        if db.claim(
            IdempotencyRecord,
            now=now,
            id=record,
            fingerprint=fingerprint,
            status=None,
            headers={},
            body=b"",
            created_at=now,
            expires_at=until,
        ):
            return None
    row = IdempotencyRecord.objects.using(settings.DATABASE).get(pk=record)
    if not hmac.compare_digest(bytes(row.fingerprint), fingerprint):
        raise IdempotencyKeyReused
    if row.status is None:
        raise IdempotencyInProgress
    return StoredResponse(status=row.status, body=bytes(row.body), headers=row.headers)


def store(*, record: UUID, response: StoredResponse) -> None:
    """Let ``record`` stand for ``response``. Needs the transaction of the claim. Raises ``Misuse`` if it is too
    large.
    """
    if len(response.body) > settings.IDEMPOTENCY_MAX_BODY:
        raise Misuse(
            f"The response has {len(response.body)} bytes, and SECURECORE['IDEMPOTENCY_MAX_BODY'] is "
            f"{settings.IDEMPOTENCY_MAX_BODY}. Answer with a reference to the result, or raise the limit."
        )
    IdempotencyRecord.objects.using(settings.DATABASE).filter(pk=record).update(
        status=response.status, headers=response.headers, body=response.body
    )
