from __future__ import annotations

import datetime as dt

from django.apps import apps
from django.db import models
from django.db.models import Exists, OuterRef

from securecore.conf import django_settings


class RevokedToken(models.Model):
    """A ``jti`` that is refused until its token would have expired anyway."""

    #: The record id of issuer and ``jti``; the raw ``jti`` is nowhere.
    id = models.UUIDField(primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "securecore_revoked_token"

    def __str__(self) -> str:
        return f"revoked until {self.expires_at:%Y-%m-%d %H:%M:%S}"


class SigningKeyQuerySet(models.QuerySet["SigningKey"]):
    def verifying(self, now: dt.datetime) -> SigningKeyQuerySet:
        """The keys whose tokens are still accepted."""
        return self.filter(models.Q(expires_at=None) | models.Q(expires_at__gt=now))

    def signing(self, now: dt.datetime) -> SigningKeyQuerySet:
        """The keys that may sign; the first one does: the newest, whichever lead an older one still waits for."""
        return self.verifying(now).filter(signs_at__lte=now).order_by("-created_at", "-signs_at", "kid")


class SigningKey(models.Model):
    """A key that signs access tokens from ``signs_at`` on and verifies them until ``expires_at``."""

    kid = models.CharField(max_length=64, primary_key=True)
    algorithm = models.CharField(max_length=16)
    #: Encrypted under ``KEY_ENCRYPTION_KEYS``; in clear it is nowhere in the database.
    encrypted_private_key = models.TextField()
    created_at = models.DateTimeField()
    signs_at = models.DateTimeField()
    #: Set when a successor was made, or when the key was retired. Null for the newest key.
    expires_at = models.DateTimeField(null=True, blank=True, db_index=True)

    objects = SigningKeyQuerySet.as_manager()

    class Meta:
        db_table = "securecore_signing_key"

    def __str__(self) -> str:
        return f"{self.algorithm} key {self.kid}"


class Client(models.Model):
    """A registered OAuth client, known by a certificate (RFC 8705 section 2).

    Its certificates are those enrolled for ``user``, or with ``certificate_name`` every one that a trusted authority
    gave this name (``tls_client_auth``, section 2.1): then the authority decides about renewals.
    """

    client_id = models.CharField(max_length=128, primary_key=True)
    #: Whom the client acts as with ``client_credentials``.
    user = models.ForeignKey(django_settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    #: ``subject_dn:CN=...`` in RFC 4514, or ``DNS:``, ``URI:``, ``email:``, ``IP:``; empty: enrolled certificates only.
    certificate_name = models.CharField(max_length=512, blank=True)
    #: A refresh token is replaced at each use, or kept (FAPI 2.0 section 5.3.2.1 item 9 forbids to replace it).
    rotates_refresh_tokens = models.BooleanField(default=False)
    may_introspect = models.BooleanField(default=False)
    #: Scope values it may ask for, separated by blanks.
    scope = models.TextField(blank=True)
    created_at = models.DateTimeField()
    disabled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "securecore_client"

    def __str__(self) -> str:
        return self.client_id


class RefreshFamilyQuerySet(models.QuerySet["RefreshFamily"]):
    def alive(self, now: dt.datetime) -> RefreshFamilyQuerySet:
        """Those that are neither over nor revoked: by themselves, with their client, or with their certificate or a key
        or name of it.

        A family that is begun while its certificate is being revoked is not among those which that ends, and a client
        that is disabled in the admin ends none: both are asked for here.
        """
        certificates = apps.get_model("securecore.Certificate").objects.exclude(revoked_at=None)
        names = apps.get_model("securecore.CertificateIdentifier").objects.values("identifier")
        itself = certificates.filter(pk=OuterRef("certificate"))
        known_by = certificates.filter(pk__in=names.filter(certificate=OuterRef(OuterRef("certificate"))))
        disabled = Client.objects.filter(pk=OuterRef("client_id")).exclude(disabled_at=None)
        lives = self.filter(revoked_at=None, expires_at__gt=now)
        return lives.filter(~Exists(itself), ~Exists(known_by), ~Exists(disabled))


class RefreshFamily(models.Model):
    """One authorization: all refresh and access tokens that descend from it live and die together."""

    id = models.UUIDField(primary_key=True)
    user = models.ForeignKey(django_settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    client_id = models.CharField(max_length=128, db_index=True)
    #: ``x5t#S256:<thumbprint>`` or ``jkt:<thumbprint>``; empty if the client's own authentication is the binding.
    binding = models.CharField(max_length=80, blank=True)
    scope = models.TextField(blank=True)
    rotates = models.BooleanField()
    #: The certificate that it was last redeemed under, at first the one it was obtained under: its revocation ends the
    #: family, whatever that is bound to. The last and not the first, or the revocation of a certificate that was
    #: renewed would end what its owner goes on with. Who stole the old one redeems under nothing else, so what he
    #: obtained ends with it. A name, so that features need not know each other.
    certificate = models.ForeignKey(
        "securecore.Certificate",
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_column="certificate",
        related_name="+",
    )
    created_at = models.DateTimeField()
    #: The absolute lifetime; nothing extends it (ASVS 5.0 v5.0.0-10.4.8).
    expires_at = models.DateTimeField(db_index=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = RefreshFamilyQuerySet.as_manager()

    class Meta:
        db_table = "securecore_refresh_family"

    def __str__(self) -> str:
        return f"authorization of {self.client_id} since {self.created_at:%Y-%m-%d %H:%M}"


class RefreshToken(models.Model):
    #: The record id of the token; the token itself is nowhere.
    id = models.UUIDField(primary_key=True)
    # No constraint in the database: each table is purged by itself, and a token without a family redeems nothing.
    family = models.ForeignKey(RefreshFamily, on_delete=models.CASCADE, db_constraint=False, related_name="tokens")
    #: The token that this one replaced; null for the first of a family, and for one that a retry of its parent voided.
    #: Unique: a token has one successor, also if the code should fail.
    parent = models.UUIDField(null=True, unique=True)
    #: The idle lifetime, never beyond the family's; the family's itself once the token was replaced.
    expires_at = models.DateTimeField(db_index=True)
    #: When it was first redeemed, or voided.
    used_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "securecore_refresh_token"

    def __str__(self) -> str:
        return f"refresh token until {self.expires_at:%Y-%m-%d %H:%M}"


class TokenEpoch(models.Model):
    """Counts how often all tokens of a subject were revoked; a token says which count it was issued under.

    A count and not an instant: hosts whose clocks differ agree about it.
    """

    #: ``user:<primary key>``, ``client:<client id>``, or ``everyone``.
    subject = models.CharField(max_length=160, primary_key=True)
    epoch = models.BigIntegerField(default=0)
    #: For ``everyone``: tokens issued at or before this instant are refused.
    not_before = models.DateTimeField(null=True)

    class Meta:
        db_table = "securecore_token_epoch"

    def __str__(self) -> str:
        return f"{self.subject} at epoch {self.epoch}"


class OneTimeToken(models.Model):
    """A secret for one purpose and one subject, good for one use."""

    #: The record id of purpose and secret; the secret itself is nowhere.
    id = models.UUIDField(primary_key=True)
    subject = models.CharField(max_length=255)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "securecore_one_time_token"

    def __str__(self) -> str:
        return f"one-time token for {self.subject}"
