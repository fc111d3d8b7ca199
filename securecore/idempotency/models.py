from __future__ import annotations

from django.db import models


class IdempotencyRecord(models.Model):
    """A claimed key and, from the moment anyone else can see it, the response it stands for. With a lease the claim can
    be seen before the response: then ``status`` is null.
    """

    #: The record id of principal, method, route and key.
    id = models.UUIDField(primary_key=True)
    #: SHA-256 of what was asked, so that the same key cannot stand for another request.
    fingerprint = models.BinaryField()
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict, db_default={})
    body = models.BinaryField(default=b"", db_default=b"")
    #: Whether ``body`` is the headers and the body under one of IDEMPOTENCY_ENCRYPTION_KEYS.
    is_encrypted = models.BooleanField(default=False, db_default=False)
    #: Counts who has run under this claim: only the last may store its response.
    attempt = models.PositiveIntegerField(default=1, db_default=1)
    #: Until when nobody else may run; null outside the lease of a claim.
    leased_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "securecore_idempotency_record"

    def __str__(self) -> str:
        return f"response {self.status} of {self.created_at:%Y-%m-%d %H:%M:%S}"
