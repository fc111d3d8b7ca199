from __future__ import annotations

import datetime as dt

from django.db import models

from securecore import user_model
from securecore.conf import django_settings
from securecore.instants import InstantField


class SeenNonce(models.Model):
    #: The record id of scope and nonce; the raw nonce is not stored.
    id = models.UUIDField(primary_key=True)
    expires_at = InstantField(db_index=True)

    class Meta:
        db_table = "securecore_seen_nonce"

    def __str__(self) -> str:
        return f"nonce seen, kept until {self.expires_at:%Y-%m-%d %H:%M:%S}"


class SignatureKeyQuerySet(models.QuerySet["SignatureKey"]):
    def usable(self) -> SignatureKeyQuerySet:
        """Return the keys that are not revoked and have an active user."""
        return self.filter(user_model.active("user__"), revoked_at=None).select_related("user")

    def revoke(self, *, now: dt.datetime) -> int:
        """Revoke these keys. A key that is revoked already keeps its first ``revoked_at``."""
        return self.filter(revoked_at=None).update(revoked_at=now)


class SignatureKey(models.Model):
    """A public key that signs requests of its user (RFC 9421), until it is revoked."""

    #: The value of the signature's ``keyid`` parameter (RFC 9421 section 2.3).
    keyid = models.CharField(max_length=255, primary_key=True)
    user = models.ForeignKey(django_settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="signature_keys")
    #: SubjectPublicKeyInfo in PEM.
    public_key = models.TextField()
    registered_at = InstantField()
    revoked_at = InstantField(null=True, blank=True)

    objects = SignatureKeyQuerySet.as_manager()

    class Meta:
        db_table = "securecore_signature_key"

    def __str__(self) -> str:
        return self.keyid
