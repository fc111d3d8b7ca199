from __future__ import annotations

import datetime as dt

from django.apps import apps
from django.db import models
from django.db.models import Exists, OuterRef

from securecore.conf import django_settings
from securecore.instants import InstantField


class RevokedToken(models.Model):
    """A ``jti`` that is refused until its token has expired."""

    #: The record id of issuer and ``jti``; the raw ``jti`` is not stored.
    id = models.UUIDField(primary_key=True)
    expires_at = InstantField(db_index=True)

    class Meta:
        db_table = "securecore_revoked_token"

    def __str__(self) -> str:
        return f"revoked until {self.expires_at:%Y-%m-%d %H:%M:%S}"


class SigningKeyQuerySet(models.QuerySet["SigningKey"]):
    def verifying(self, now: dt.datetime) -> SigningKeyQuerySet:
        """Return the keys that have not expired: their tokens are accepted."""
        return self.filter(models.Q(expires_at=None) | models.Q(expires_at__gt=now))

    def signing(self, now: dt.datetime) -> SigningKeyQuerySet:
        """Return the keys that may sign, newest first: the newest key signs, also if the lead of an older one is
        over.
        """
        return self.verifying(now).filter(signs_at__lte=now).order_by("-created_at", "-signs_at", "kid")


class SigningKey(models.Model):
    """A key that signs access tokens from ``signs_at`` on and verifies them until ``expires_at``."""

    kid = models.CharField(max_length=64, primary_key=True)
    algorithm = models.CharField(max_length=16)
    #: Encrypted under ``ENCRYPTION_KEYS``; the database never holds the key in clear.
    encrypted_private_key = models.TextField()
    created_at = InstantField()
    signs_at = InstantField()
    #: Set when a newer key is made or when this key is retired. Null for the newest key.
    expires_at = InstantField(null=True, blank=True, db_index=True)

    objects = SigningKeyQuerySet.as_manager()

    class Meta:
        db_table = "securecore_signing_key"

    def __str__(self) -> str:
        return f"{self.algorithm} key {self.kid}"


class Client(models.Model):
    """A registered OAuth client, which authenticates by a certificate (RFC 8705 section 2).

    Without ``certificate_name`` the certificates enrolled for ``user`` prove the client. With ``certificate_name``
    every certificate of this name by a trusted authority does (``tls_client_auth``, section 2.1), so a renewed
    certificate needs no enrolment.
    """

    client_id = models.CharField(max_length=128, primary_key=True)
    #: The user of the tokens that the client obtains with ``client_credentials``.
    user = models.ForeignKey(django_settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    #: ``subject_dn:CN=...`` in RFC 4514, or ``DNS:``, ``URI:``, ``email:``, ``IP:``. Empty: enrolled certificates only.
    certificate_name = models.CharField(max_length=512, blank=True)
    #: Whether each use replaces the refresh token. FAPI 2.0 section 5.3.2.1 item 9 forbids that.
    rotates_refresh_tokens = models.BooleanField(default=False)
    may_introspect = models.BooleanField(default=False)
    #: Scope values that the client may request, separated by blanks.
    scope = models.TextField(blank=True)
    created_at = InstantField()
    disabled_at = InstantField(null=True, blank=True)

    class Meta:
        db_table = "securecore_client"

    def __str__(self) -> str:
        return self.client_id


class RefreshFamilyQuerySet(models.QuerySet["RefreshFamily"]):
    def alive(self, now: dt.datetime) -> RefreshFamilyQuerySet:
        """Return the families that are not expired and not revoked.

        A family is also dead while its client is disabled, or if its certificate or a key or name of the certificate is
        revoked. The query reads both, because two changes may not set ``revoked_at``: the revocation of a certificate
        misses a family that begins at the same time, and in a database without triggers ``QuerySet.update()`` disables
        a client and revokes no family.
        """
        certificates = apps.get_model("securecore.Certificate").objects.exclude(revoked_at=None)
        names = apps.get_model("securecore.CertificateIdentifier").objects
        itself = certificates.filter(pk=OuterRef("certificate"))
        # From the names to the certificates: the other way PostgreSQL reads every revoked certificate for each family.
        known_by = names.filter(certificate=OuterRef("certificate"), identifier__in=certificates.values("pk"))
        disabled = Client.objects.filter(pk=OuterRef("client_id")).exclude(disabled_at=None)
        lives = self.filter(revoked_at=None, expires_at__gt=now)
        return lives.filter(~Exists(itself), ~Exists(known_by), ~Exists(disabled))


class RefreshFamily(models.Model):
    """One authorization. All refresh and access tokens that descend from it end with it."""

    id = models.UUIDField(primary_key=True)
    user = models.ForeignKey(django_settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    client_id = models.CharField(max_length=128, db_index=True)
    #: ``x5t#S256:<thumbprint>`` or ``jkt:<thumbprint>``; empty if client authentication is the binding.
    binding = models.CharField(max_length=80, blank=True)
    scope = models.TextField(blank=True)
    rotates = models.BooleanField()
    #: The certificate of the last refresh; before the first refresh, the certificate under which the family began.
    #: Revoking this certificate ends the family under any binding. The first certificate would be wrong here: after
    #: a renewal, revoking the old certificate would log the owner out. A thief of the old certificate can refresh under
    #: that certificate only, so its revocation ends the thief's tokens. The target is a name, so that this feature does
    #: not import ``identity``.
    certificate = models.ForeignKey(
        "securecore.Certificate",
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_column="certificate",
        related_name="+",
    )
    created_at = InstantField()
    #: The absolute lifetime; nothing extends it (ASVS 5.0 v5.0.0-10.4.8).
    expires_at = InstantField(db_index=True)
    revoked_at = InstantField(null=True, blank=True)

    objects = RefreshFamilyQuerySet.as_manager()

    class Meta:
        db_table = "securecore_refresh_family"
        verbose_name = "refresh-token family"
        verbose_name_plural = "refresh-token families"

    def __str__(self) -> str:
        return f"authorization of {self.client_id} since {self.created_at:%Y-%m-%d %H:%M}"


class RefreshToken(models.Model):
    #: The record id of the token; the token itself is not stored.
    id = models.UUIDField(primary_key=True)
    # No constraint in the database: purge deletes from each table by itself. A token without a family redeems nothing.
    family = models.ForeignKey(RefreshFamily, on_delete=models.CASCADE, db_constraint=False, related_name="tokens")
    #: The refresh token that this token replaced. Null for the first token of a family, and for a token that a retry of
    #: the refresh voided. Unique: the database allows one successor for each token, even if the code has a bug.
    parent = models.UUIDField(null=True, unique=True)
    #: The end of the idle lifetime, at most the end of the family. A used token has the end of the family.
    expires_at = InstantField(db_index=True)
    #: The instant at which the token was first redeemed, or voided.
    used_at = InstantField(null=True)

    class Meta:
        db_table = "securecore_refresh_token"

    def __str__(self) -> str:
        return f"refresh token until {self.expires_at:%Y-%m-%d %H:%M}"


class TokenEpoch(models.Model):
    """The number of times that all tokens of a subject were revoked. A token names the number at its issue.

    A number and not an instant, because hosts with different clocks agree about a number.
    """

    #: ``user:<primary key>``, ``client:<client id>``, or ``everyone``.
    subject = models.CharField(max_length=160, primary_key=True)
    epoch = models.BigIntegerField(default=0)
    #: For ``everyone``: tokens issued at or before this instant are refused.
    not_before = InstantField(null=True)

    class Meta:
        db_table = "securecore_token_epoch"

    def __str__(self) -> str:
        return f"{self.subject} at epoch {self.epoch}"


class OneTimeToken(models.Model):
    """A secret for one purpose and one subject, good for one use."""

    #: The record id of purpose and secret; the secret itself is not stored.
    id = models.UUIDField(primary_key=True)
    subject = models.CharField(max_length=255)
    expires_at = InstantField(db_index=True)

    class Meta:
        db_table = "securecore_one_time_token"

    def __str__(self) -> str:
        return f"one-time token for {self.subject}"
