"""Refusals of idempotency keys."""

from __future__ import annotations

from securecore.errors.base import Refused, Unavailable


class IdempotencyKeyMissing(Refused):
    code = "idempotency-key-missing"
    status = 400
    title = "Idempotency-Key is missing."


class IdempotencyKeyMalformed(Refused):
    code = "idempotency-key-malformed"
    status = 400
    title = "Idempotency-Key must be one string of 1 to 255 visible ASCII characters."


class IdempotencyKeyReused(Refused):
    code = "idempotency-key-reused"
    status = 422
    title = "This Idempotency-Key was used for another request."


class IdempotencyInProgress(Refused):
    code = "idempotency-in-progress"
    status = 409
    title = "A request with this Idempotency-Key is still running."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


class IdempotencyNotSupported(Refused):
    code = "idempotency-not-supported"
    status = 400
    title = "This resource takes no Idempotency-Key."


class IdempotencyResponseUnreadable(Unavailable):
    code = "idempotency-response-unreadable"
    title = "The response stored under this Idempotency-Key cannot be read right now."
