"""Convert a response to the columns of its row and back, in clear or under ``ENCRYPTION_KEYS``."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from securecore import encryption
from securecore.conf import settings
from securecore.errors import IdempotencyResponseUnreadable
from securecore.idempotency.models import IdempotencyRecord

_PURPOSE = "stored response"


@dataclass(frozen=True)
class StoredResponse:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def columns_of(response: StoredResponse, *, record: UUID) -> dict[str, Any]:
    """Return the columns for ``response``; if there are encryption keys, encrypted under the first."""
    if not settings.ENCRYPTION_KEYS:
        headers, body = response.headers, response.body
        return {"status": response.status, "headers": headers, "body": body, "is_encrypted": False}
    # The ciphertext holds the record id: an attacker with write access to the table cannot move a response to another
    # key's row.
    headers_line = json.dumps(response.headers).encode() + b"\n"
    content = record.bytes + headers_line + response.body
    sealed = encryption.encrypt(content, purpose=_PURPOSE, keys=settings.ENCRYPTION_KEYS)
    return {"status": response.status, "headers": {}, "body": sealed, "is_encrypted": True}


def response_in(row: IdempotencyRecord) -> StoredResponse:
    """Return the response of a row that has one.

    Raises ``IdempotencyResponseUnreadable`` if the encryption key was removed, or if the row was changed outside
    securecore.
    """
    assert row.status is not None  # noqa: S101
    if not row.is_encrypted:
        return StoredResponse(status=row.status, body=bytes(row.body), headers=row.headers)
    try:
        opened = encryption.decrypt(bytes(row.body), purpose=_PURPOSE, keys=settings.ENCRYPTION_KEYS)
    except (encryption.InvalidToken, ValueError) as error:
        raise IdempotencyResponseUnreadable from error
    if opened[:16] != row.pk.bytes:
        raise IdempotencyResponseUnreadable
    headers_line, _, body = opened[16:].partition(b"\n")
    return StoredResponse(status=row.status, body=body, headers=json.loads(headers_line))
