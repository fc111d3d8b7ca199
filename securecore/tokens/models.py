from __future__ import annotations

from django.db import models


class RevokedToken(models.Model):
    """A ``jti`` that is refused until its token would have expired anyway."""

    #: The record id of issuer and ``jti``; the raw ``jti`` is nowhere.
    id = models.UUIDField(primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "securecore_revoked_token"

    def __str__(self) -> str:
        return f"revoked until {self.expires_at:%Y-%m-%d %H:%M:%S}"
