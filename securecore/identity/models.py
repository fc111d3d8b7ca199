from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import models
from django.db.models.functions import Now

from securecore import user_model
from securecore.conf import django_settings
from securecore.errors import Misuse
from securecore.instants import InstantField


class CertificateQuerySet(models.QuerySet["Certificate"]):
    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete these rows. Raises ``Misuse`` if one of them revokes a certificate that has not expired."""
        counting = self.filter(revoked_at__isnull=False)
        if counting.filter(models.Q(not_after=None) | models.Q(not_after__gt=Now())).exists():
            raise Misuse(
                "A revoked certificate's row is its revocation: without the row the certificate is good again. Exclude "
                "revoked certificates; purge deletes their rows once they have expired."
            )
        return super().delete()

    def revoke(self, *, now: dt.datetime) -> int:
        """Revoke these certificates. A certificate that is revoked already keeps its first ``revoked_at``."""
        return self.filter(revoked_at=None).update(revoked_at=now)

    def pending(self) -> CertificateQuerySet:
        """Return the certificates that were presented and verified by the proxy, and wait for an operator."""
        return self.filter(user=None, enrolled_at=None, revoked_at=None)

    def expiring(self, *, now: dt.datetime, until: dt.datetime) -> CertificateQuerySet:
        """Return the certificates in use that are valid now and expire before ``until``, the earliest first."""
        in_use = self.filter(user_model.active("user__"), revoked_at=None, user__isnull=False)
        return in_use.filter(not_after__gte=now, not_after__lt=until).order_by("not_after")


class Certificate(models.Model):
    """A known certificate with its user and its revocation.

    By ``matched_by`` a row can also describe all certificates with one public key, or with one name by one issuer (see
    ``securecore.identity.matching``). A row has no user in three cases: the user was deleted, the certificate was
    revoked before its enrolment, or (without ``enrolled_at``) the certificate waits for an operator.
    """

    MODES = ("thumbprint", "public-key", "san-uri", "san-email", "san-dns", "subject")

    #: ``x5t#S256`` in base64url. For a match: ``Match.identifier``, which is as long.
    thumbprint = models.CharField(max_length=43, primary_key=True)
    matched_by = models.CharField(max_length=10, default="thumbprint", choices=[(mode, mode) for mode in MODES])
    # The row must outlive the user: if deleting the user deleted the row, a revoked certificate would be unknown again.
    user = models.ForeignKey(
        django_settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="certificates"
    )
    #: The enrolment makes the certificate good without a trusted authority (RFC 8705 section 2.2).
    is_self_signed = models.BooleanField(default=False)
    #: The subject. For a match: the name, or the key's thumbprint.
    subject = models.TextField(blank=True)
    issuer = models.TextField(blank=True)
    serial_number = models.CharField(max_length=64, blank=True)
    #: Null for a match, because a match does not expire.
    not_after = InstantField(null=True, blank=True, db_index=True)
    enrolled_at = InstantField(null=True, blank=True)
    revoked_at = InstantField(null=True, blank=True)

    objects = CertificateQuerySet.as_manager()

    class Meta:
        db_table = "securecore_certificate"
        indexes = [
            # For the admin and the commands: a log has the serial number alone. No index for revoked certificates: for
            # a request's search by thumbprint PostgreSQL took it in place of the primary key, and read them all.
            models.Index(fields=["serial_number"], condition=~models.Q(serial_number=""), name="sc_certificate_serial"),
        ]

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        return Certificate.objects.using(kwargs.get("using") or self._state.db).filter(pk=self.pk).delete()

    def __str__(self) -> str:
        return f"{self.subject or 'unknown subject'} ({self.thumbprint})"


class CertificateIdentifier(models.Model):
    """A key or name of a certificate under which a token or session was obtained.

    An access token, a refresh-token family and a session hold the thumbprint of their certificate only. These rows lead
    from the thumbprint to the certificate's key and names, so that the revocation of a match ends the token or session.
    ``identifier`` is the match's primary key in ``Certificate``.
    """

    #: The record id of both columns.
    id = models.UUIDField(primary_key=True)
    certificate = models.CharField(max_length=43, db_index=True)
    identifier = models.CharField(max_length=43, db_index=True)
    #: The instant at which every token and session that could be obtained under the certificate has expired.
    expires_at = InstantField(db_index=True)

    class Meta:
        db_table = "securecore_certificate_identifier"

    def __str__(self) -> str:
        return f"{self.identifier} of {self.certificate}"


class RevocationList(models.Model):
    """A certificate revocation list (CRL, RFC 5280 section 5) that an operator imported. A newer list replaces it."""

    #: The record id of the issuer, of the key that signed, and of the distribution point. An authority that divides its
    #: certificates among several lists has one row for each.
    name = models.UUIDField(unique=True)
    #: RFC 4514 text, as in ``ClientCertificate.issuer``.
    issuer = models.TextField()
    #: The CRL number (section 5.2.3), decimal; empty for a list without one.
    number = models.CharField(max_length=49, blank=True)
    this_update = InstantField()
    next_update = InstantField()
    #: Whether certificates of the issuer are refused from ``next_update`` on.
    refuses_when_expired = models.BooleanField(default=False)
    imported_at = InstantField()
    entries = models.PositiveBigIntegerField(default=0)
    #: The instant from which the purge deletes the list with its entries: every listed certificate has expired.
    expires_at = InstantField(db_index=True)

    class Meta:
        db_table = "securecore_revocation_list"

    def __str__(self) -> str:
        return f"revocation list of {self.issuer}, {self.entries} entries"


class ListedCertificate(models.Model):
    """An entry of a revocation list: one certificate by its issuer and its serial number."""

    #: The certificate first: the query of each request searches for it.
    pk = models.CompositePrimaryKey("certificate", "revocation_list")
    #: ``ClientCertificate.serial_id``: the record id of issuer and serial number.
    certificate = models.UUIDField()
    # Neither constraint nor index: an import of a million entries would check each of them, and only the import and the
    # purge look for the entries of a list.
    revocation_list = models.ForeignKey(
        RevocationList, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    #: The instant at which the authority revoked the certificate.
    revoked_at = InstantField()
    #: The reason code (RFC 5280 section 5.3.1); 0 if the entry has none, and ``LIST_ENDED`` for the issuer's own row.
    reason = models.PositiveSmallIntegerField()

    class Meta:
        db_table = "securecore_listed_certificate"
