"""OAuth clients, known by their certificates (RFC 8705 section 2)."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from securecore.conf import settings
from securecore.tokens.models import Client

#: What a certificate name may be of: exactly one of the ways of RFC 8705 section 2.1.2.
_SAN_KINDS = ("DNS", "URI", "email")


@dataclass(frozen=True)
class PresentedCertificate:
    """What client authentication looks at. ``user`` is for whom it is enrolled, or None."""

    thumbprint: str
    subject: str
    sans: tuple[str, ...]
    #: Whether an authority vouches for the names in it.
    is_verified: bool
    user: Any


@dataclass(frozen=True)
class AuthenticatedClient:
    """A client that its certificate proved. Without a registration it is the certificate's user."""

    client_id: str
    user: Any
    scope: frozenset[str]
    rotates_refresh_tokens: bool
    may_introspect: bool
    is_registered: bool

    def owns(self, *, client_id: str, user_id: Any) -> bool:
        """Say whether a token of the client ``client_id`` that acts for the user ``user_id`` is this client's own.

        A user name changes hands, a registration does not: the certificate's user as a client of its own owns its own
        user's tokens, and none that a former user of this name obtained.
        """
        return self.client_id == client_id and (self.is_registered or str(self.user.pk) == str(user_id))

    def refresh_binding(self, thumbprint: str) -> str:
        """RFC 8705 section 7.1: a registered client authenticates at each refresh, which binds its tokens through any
        renewal of the certificate. Without a registration the certificate itself is the binding (section 4).
        """
        return "" if self.is_registered else f"x5t#S256:{thumbprint}"


def authenticate(*, presented_id: str | None, certificate: PresentedCertificate) -> AuthenticatedClient | None:
    """Return the client that this certificate proves, or None.

    A registered one by its name or by enrolment; else the certificate's user is a client of its own, whose id is the
    user name and whose refresh tokens rotate, as RFC 9700 section 2.2.2 wants for a public client.
    """
    user = certificate.user
    if presented_id is None:
        presented_id = user.get_username() if user is not None else None
    if presented_id is None or len(presented_id) > 128 or "\x00" in presented_id:
        return None
    row = Client.objects.using(settings.DATABASE).select_related("user").filter(pk=presented_id).first()
    if row is not None:
        return _registered(row, certificate)
    if user is None or user.get_username() != presented_id:
        return None
    return AuthenticatedClient(presented_id, user, frozenset(), True, False, is_registered=False)


def register(
    *,
    client_id: str,
    user: Any,
    now: dt.datetime,
    certificate_name: str = "",
    scope: str = "",
    rotates_refresh_tokens: bool = False,
    may_introspect: bool = False,
) -> Client:
    """Register a client that acts as ``user``. Without ``certificate_name`` its certificates are those enrolled for the
    user. ``scope`` are values separated by blanks.

    Raises ``ValidationError`` for a certificate name that matches nothing, and for the name of another user as
    ``client_id``: that user is a client of this id already. The tokens of the user's own client of this id end.
    """
    users = get_user_model()._default_manager.using(settings.DATABASE)
    if users.filter(**{get_user_model().USERNAME_FIELD: client_id}).exclude(pk=user.pk).exists():
        raise ValidationError(f"{client_id!r} is the name of another user. Choose another client id.")
    return Client.objects.using(settings.DATABASE).create(
        client_id=client_id,
        user=user,
        certificate_name=check_name(certificate_name) if certificate_name else "",
        scope=scope,
        rotates_refresh_tokens=rotates_refresh_tokens,
        may_introspect=may_introspect,
        created_at=now,
    )


def check_name(name: str) -> str:
    """Return ``name`` as ``certificate_name`` stores it. Raises ``ValidationError`` for what could match nothing."""
    kind, _, value = name.partition(":")
    if kind == "subject_dn" and value:
        try:
            return f"subject_dn:{x509.Name.from_rfc4514_string(value).rfc4514_string()}"
        except ValueError as error:
            raise ValidationError(f"{value!r} is no RFC 4514 name: {error}") from error
    if kind == "IP":
        try:
            return f"IP:{ipaddress.ip_address(value)}"
        except ValueError as error:
            raise ValidationError(f"{value!r} is no IP address: {error}") from error
    if kind in _SAN_KINDS and value:
        return name
    raise ValidationError("A certificate name is subject_dn:, DNS:, URI:, email: or IP:, and a value.")


def is_named(certificate_name: str, *, subject: str, sans: tuple[str, ...]) -> bool:
    """Say whether a certificate with this subject and these alternative names has ``certificate_name``. Ask it of
    verified certificates only: anybody can write any name into a certificate that no authority vouches for.
    """
    return certificate_name in (f"subject_dn:{subject}", *sans)


def _registered(row: Client, certificate: PresentedCertificate) -> AuthenticatedClient | None:
    if row.disabled_at is not None or not row.user.is_active:
        return None
    if row.certificate_name:
        proven = certificate.is_verified and is_named(
            row.certificate_name, subject=certificate.subject, sans=certificate.sans
        )
    else:
        proven = certificate.user is not None and certificate.user.pk == row.user_id
    if not proven:
        return None
    return AuthenticatedClient(
        client_id=row.client_id,
        user=row.user,
        scope=frozenset(row.scope.split()),
        rotates_refresh_tokens=row.rotates_refresh_tokens,
        may_introspect=row.may_introspect,
        is_registered=True,
    )
