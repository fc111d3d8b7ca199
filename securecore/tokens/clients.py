"""OAuth clients, which authenticate by their certificates (RFC 8705 section 2)."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import transaction

from securecore import audit, events
from securecore.arguments import require_instant, require_name, require_user
from securecore.conf import settings
from securecore.errors import Misuse
from securecore.texts import quoted, quoted_argument
from securecore.tokens.models import Client

#: Kinds of alternative names in a ``certificate_name``. A client has exactly one of the names of RFC 8705 section
#: 2.1.2.
_SAN_KINDS = ("DNS", "URI", "email")


@dataclass(frozen=True)
class PresentedCertificate:
    """The parts of a client certificate that decide client authentication. ``user`` is the certificate's user or
    None.
    """

    thumbprint: str
    subject: str
    sans: tuple[str, ...]
    #: Whether a trusted authority signed the certificate, so that its names can be believed.
    is_verified: bool
    user: Any


@dataclass(frozen=True)
class AuthenticatedClient:
    """A client that its certificate proved. Without a registration the certificate's user is the client."""

    client_id: str
    user: Any
    scope: frozenset[str]
    rotates_refresh_tokens: bool
    may_introspect: bool
    is_registered: bool

    def owns(self, *, client_id: str, user_id: Any) -> bool:
        """Say whether this client owns a token with these values.

        A user name can pass to another user; a registration cannot. So an unregistered client must match by user too.
        Example: alice leaves and another user is renamed to alice. The new alice does not own the tokens of the old.
        """
        return self.client_id == client_id and (self.is_registered or str(self.user.pk) == str(user_id))

    def refresh_binding(self, thumbprint: str) -> str:
        """Return the binding for this client's refresh tokens; empty if client authentication is the binding.

        A registered client authenticates at each refresh, which binds its tokens across renewals of the certificate
        (RFC 8705 section 7.1). Without a registration the tokens are bound to the certificate (section 4).
        """
        return "" if self.is_registered else f"x5t#S256:{thumbprint}"


class ClientRefused(Exception):
    """The certificate does not prove the client. ``kind`` is one of a few words, for counts; the text is for operators.

    The response names neither: it would tell a stranger which clients there are.
    """

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


def authenticate(*, presented_id: str | None, certificate: PresentedCertificate) -> AuthenticatedClient:
    """Return the client that this certificate proves. Raises ``ClientRefused``.

    A certificate proves a registered client by its name or by enrolment. Without a registration the certificate's user
    is the client: the client id is the user name, and the refresh tokens rotate, as RFC 9700 section 2.2.2 demands of a
    public client.
    """
    user = certificate.user
    if presented_id is None:
        presented_id = user.get_username() if user is not None else None
    if presented_id is None:
        raise ClientRefused("no-client-id", f"{_NO_USER} and the request has no client_id.")
    if len(presented_id) > 128 or "\x00" in presented_id:
        raise ClientRefused("no-client-id", "The client_id has more than 128 characters, or NUL.")
    row = Client.objects.using(settings.DATABASE).select_related("user").filter(pk=presented_id).first()
    if row is not None:
        return _registered(row, certificate)
    named = quoted_argument(presented_id)
    if user is None:
        raise ClientRefused("client-unknown", f"No client {named} is registered. {_NO_USER}.")
    if user.get_username() != presented_id:
        raise ClientRefused(
            "client-unknown",
            f"No client {named} is registered, and the certificate is enrolled for the user {user.get_username()}.",
        )
    return AuthenticatedClient(presented_id, user, frozenset(), True, False, is_registered=False)


_NO_USER = "The certificate is enrolled for no active user"


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
    """Register a client that acts as ``user``. ``scope`` lists values separated by blanks.

    Without ``certificate_name`` the certificates enrolled for the user prove the client. Raises ``ValidationError`` for
    a certificate name that could match no certificate. Raises it too if ``client_id`` is another user's name: that user
    is already the client with this id. If ``client_id`` is the user's own name, the tokens of the unregistered client
    end.
    """
    require_user(user)
    require_name(client_id=client_id)
    require_instant(now=now)
    if not isinstance(scope, str):
        raise Misuse(
            f"scope is {quoted(scope)}: pass a text of values with blanks between them, for example 'accounts payouts'."
        )
    users = get_user_model()._default_manager.using(settings.DATABASE)
    if users.filter(**{get_user_model().USERNAME_FIELD: client_id}).exclude(pk=user.pk).exists():
        raise ValidationError(f"{client_id!r} is the name of another user. Choose another client id.")
    with transaction.atomic(using=settings.DATABASE):
        client = Client.objects.using(settings.DATABASE).create(
            client_id=client_id,
            user=user,
            certificate_name=check_name(certificate_name) if certificate_name else "",
            scope=scope,
            rotates_refresh_tokens=rotates_refresh_tokens,
            may_introspect=may_introspect,
            created_at=now,
        )
        audit.report(events.ClientRegistered(client_id=client_id, user=user.get_username()))
    return client


def enable(client_id: str) -> bool:
    """Accept a disabled client again; say whether it was disabled. Its earlier tokens stay revoked.

    Opens or joins a transaction. A trigger closes the gate of the client.
    """
    require_name(client_id=client_id)
    with transaction.atomic(using=settings.DATABASE):
        rows = Client.objects.using(settings.DATABASE).filter(pk=client_id, disabled_at__isnull=False)
        was_disabled = bool(rows.update(disabled_at=None))
        if was_disabled:
            audit.report(events.ClientEnabled(client_id=client_id))
        return was_disabled


def check_name(name: str) -> str:
    """Return ``name`` in the spelling of ``certificate_name``; ``ValidationError`` if it could match no certificate."""
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
    """Say whether a certificate with this subject and these alternative names has ``certificate_name``.

    Call it for verified certificates only: anybody can write any name into a self-signed certificate.
    """
    return certificate_name in (f"subject_dn:{subject}", *sans)


def _registered(row: Client, certificate: PresentedCertificate) -> AuthenticatedClient:
    named = f"The client {quoted_argument(row.client_id)}"
    if row.disabled_at is not None:
        raise ClientRefused("client-disabled", f"{named} was disabled at {row.disabled_at.isoformat()}.")
    if not row.user.is_active:
        raise ClientRefused("client-user-inactive", f"{named} acts as {row.user.get_username()}, who is not active.")
    if row.certificate_name:
        if not certificate.is_verified:
            raise ClientRefused("certificate-not-verified", f"{named} is proven by a name, which needs an authority.")
        if not is_named(row.certificate_name, subject=certificate.subject, sans=certificate.sans):
            raise ClientRefused("certificate-of-another", f"{named} has the name {row.certificate_name}, not these.")
    elif certificate.user is None or certificate.user.pk != row.user_id:
        whom = "no active user" if certificate.user is None else certificate.user.get_username()
        raise ClientRefused(
            "certificate-of-another",
            f"{named} acts as {row.user.get_username()}, and the certificate is enrolled for {whom}.",
        )
    return AuthenticatedClient(
        client_id=row.client_id,
        user=row.user,
        scope=frozenset(row.scope.split()),
        rotates_refresh_tokens=row.rotates_refresh_tokens,
        may_introspect=row.may_introspect,
        is_registered=True,
    )
