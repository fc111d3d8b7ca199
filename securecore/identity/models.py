from __future__ import annotations

import datetime as dt

from django.db import models

from securecore.conf import django_settings


class CertificateQuerySet(models.QuerySet["Certificate"]):
    def revoke(self, *, now: dt.datetime) -> int:
        """Revoke what is not revoked yet; the first instant stays."""
        return self.filter(revoked_at=None).update(revoked_at=now)


class Certificate(models.Model):
    """A certificate we know: whose it is, and whether we still want it.

    A row without a user stands for a certificate whose user was deleted, or that was revoked before anybody enrolled
    it.
    """

    #: ``x5t#S256`` in base64url.
    thumbprint = models.CharField(max_length=43, primary_key=True)
    # A certificate outlives the account: if the row went with it, a revoked certificate would be unknown again.
    user = models.ForeignKey(
        django_settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="certificates"
    )
    #: Good although no authority vouches for it: the enrolment does (RFC 8705 section 2.2).
    is_self_signed = models.BooleanField(default=False)
    subject = models.TextField(blank=True)
    issuer = models.TextField(blank=True)
    serial_number = models.CharField(max_length=64, blank=True)
    not_after = models.DateTimeField(db_index=True)
    enrolled_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = CertificateQuerySet.as_manager()

    class Meta:
        db_table = "securecore_certificate"

    def __str__(self) -> str:
        return f"{self.subject or 'unknown subject'} ({self.thumbprint})"
