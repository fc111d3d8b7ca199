from __future__ import annotations

from django.db import models


class SeenNonce(models.Model):
    #: The record id of scope and nonce; the raw nonce is nowhere.
    id = models.UUIDField(primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "securecore_seen_nonce"

    def __str__(self) -> str:
        return f"nonce seen, kept until {self.expires_at:%Y-%m-%d %H:%M:%S}"
