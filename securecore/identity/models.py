from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import models
from django.db.models.functions import Now

from securecore.conf import django_settings
from securecore.errors import Misuse


class CertificateQuerySet(models.QuerySet["Certificate"]):
    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete these rows. Raises ``Misuse`` if one of them is a revocation that still counts."""
        counting = self.filter(revoked_at__isnull=False)
        if counting.filter(models.Q(not_after=None) | models.Q(not_after__gt=Now())).exists():
            raise Misuse(
                "A revoked certificate's row is its revocation: without the row the certificate is good again. Exclude "
                "revoked certificates; purge deletes their rows once they have expired."
            )
        return super().delete()

    def revoke(self, *, now: dt.datetime) -> int:
        """Revoke what is not revoked yet; the first instant stays."""
        return self.filter(revoked_at=None).update(revoked_at=now)

    def pending(self) -> CertificateQuerySet:
        """Presented, verified by the proxy, and nobody's yet."""
        return self.filter(user=None, enrolled_at=None, revoked_at=None)

    def expiring(self, *, now: dt.datetime, until: dt.datetime) -> CertificateQuerySet:
        """In use, valid now, and no longer at ``until``; those that end first come first."""
        in_use = self.filter(revoked_at=None, user__isnull=False, user__is_active=True)
        return in_use.filter(not_after__gte=now, not_after__lt=until).order_by("not_after")


class Certificate(models.Model):
    """A certificate we know: whose it is, and whether we still want it. Or, if ``matched_by`` says so, all certificates
    with one public key, or with one name by one issuer (see ``securecore.identity.matching``).

    A row without a user stands for a certificate whose user was deleted, that was revoked before anybody enrolled it,
    or, without ``enrolled_at``, that waits for an operator to admit it.
    """

    MODES = ("thumbprint", "public-key", "san-uri", "san-email", "san-dns", "subject")

    #: ``x5t#S256`` in base64url; of a match the digest of its parts, which is as long.
    thumbprint = models.CharField(max_length=43, primary_key=True)
    matched_by = models.CharField(max_length=10, default="thumbprint", choices=[(mode, mode) for mode in MODES])
    # A certificate outlives the account: if the row went with it, a revoked certificate would be unknown again.
    user = models.ForeignKey(
        django_settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="certificates"
    )
    #: Good although no authority vouches for it: the enrolment does (RFC 8705 section 2.2).
    is_self_signed = models.BooleanField(default=False)
    #: Of a match: the name, or the key's thumbprint.
    subject = models.TextField(blank=True)
    issuer = models.TextField(blank=True)
    serial_number = models.CharField(max_length=64, blank=True)
    #: A match has no end of its own.
    not_after = models.DateTimeField(null=True, blank=True, db_index=True)
    enrolled_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = CertificateQuerySet.as_manager()

    class Meta:
        db_table = "securecore_certificate"

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        return Certificate.objects.using(kwargs.get("using") or self._state.db).filter(pk=self.pk).delete()

    def __str__(self) -> str:
        return f"{self.subject or 'unknown subject'} ({self.thumbprint})"


class CertificateIdentifier(models.Model):
    """That a certificate, under which a token or a session was obtained, has this key or this name.

    An access token, a refresh family and a session name the thumbprint of that certificate only. By these rows the
    revocation of a match reaches them: ``identifier`` is the primary key that the match has in ``Certificate``.
    """

    #: The record id of both columns.
    id = models.UUIDField(primary_key=True)
    certificate = models.CharField(max_length=43, db_index=True)
    identifier = models.CharField(max_length=43, db_index=True)
    #: When everything is over that could have been obtained under the certificate.
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "securecore_certificate_identifier"

    def __str__(self) -> str:
        return f"{self.identifier} of {self.certificate}"
