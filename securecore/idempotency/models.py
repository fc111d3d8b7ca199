from __future__ import annotations

from django.db import models

from securecore.instants import InstantField


class IdempotencyRecord(models.Model):
    """A claimed idempotency key with its stored response.

    Other transactions see the row with its response only, because both commit together. A claim with a lease commits
    before the response: then ``status`` is null.
    """

    #: The record id of principal, method, route and key.
    id = models.UUIDField(primary_key=True)
    #: The request's fingerprint, so that the same key cannot be used for another request.
    fingerprint = models.BinaryField()
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict, db_default={})
    body = models.BinaryField(default=b"", db_default=b"")
    #: Whether ``body`` holds headers and body encrypted under one of ENCRYPTION_KEYS.
    is_encrypted = models.BooleanField(default=False, db_default=False)
    #: The number of the attempt: only the last attempt may store its response.
    attempt = models.PositiveIntegerField(default=1, db_default=1)
    #: The end of the lease, until which no other request with the key runs; null without a lease.
    leased_until = InstantField(null=True)
    created_at = InstantField()
    expires_at = InstantField(db_index=True)

    class Meta:
        db_table = "securecore_idempotency_record"

    def __str__(self) -> str:
        return f"response {self.status} of {self.created_at:%Y-%m-%d %H:%M:%S}"
