"""What the proxy in front of us says about the client's certificate, and whether it is our proxy that says it."""

from __future__ import annotations

import datetime as dt
import hmac
import ipaddress
import socket
from functools import lru_cache
from typing import Any

from django.http import HttpRequest

from securecore import events
from securecore.conf import settings
from securecore.errors import ProxySignatureRefused
from securecore.http.edge import proxy_signature
from securecore.http.edge.sources import SOURCES, certificate_of_connection
from securecore.identity import ClientCertificate, chain

SECRET = "HTTP_X_PROXY_AUTH"  # noqa: S105
#: A value that no family is, on a system without such sockets.
_UNIX = getattr(socket, "AF_UNIX", object())

#: Every header in which some proxy forwards a certificate. None of them reaches a view: what we read is removed with
#: what we do not, so that no code behind us can believe them by mistake.
_IDENTITY_PREFIXES = (
    "HTTP_X_SSL_",
    "HTTP_SSL_",
    "HTTP_X_PROXY_AUTH",
    "HTTP_CLIENT_CERT",
    "HTTP_X_CLIENT_CERT",
    "HTTP_X_CLIENT_FINGERPRINT",
    "HTTP_X_CLIENT_SUBJECT",
    "HTTP_X_CLIENT_VERIFY",
    "HTTP_X_TLS_CLIENT",
    "HTTP_X_FORWARDED_CLIENT_CERT",
    "HTTP_X_FORWARDED_TLS_CLIENT_CERT",
    "HTTP_X_FORWARDED_SSL_CLIENT",
    "HTTP_X_AMZN_MTLS_",
    "HTTP_X_ARR_CLIENTCERT",
    "HTTP_CF_CLIENT_CERT",
)


def proven_certificate(request: HttpRequest, now: dt.datetime) -> ClientCertificate | None:
    """Return the certificate that the trusted proxy verified on this connection, or None. Strips identity headers.

    With ``SELF_SIGNED_CERTIFICATES`` also one that it could not verify, ``is_verified`` being false: whether that is
    good says ``access.user_of_certificate``.

    Raises ``ProxySignatureRefused``, ``CertificateNotVerified``, ``CertificateMalformed``, ``CertificateTooLarge``,
    ``CertificateExpired``.
    """
    presented = _strip(request)
    certificate = _presented_certificate(request, presented, now)
    if certificate is not None:
        certificate.check_validity(now)
        chain.check(certificate, now)
    return certificate


def _presented_certificate(
    request: HttpRequest, presented: dict[str, str], now: dt.datetime
) -> ClientCertificate | None:
    secret = presented.pop(SECRET, "")
    if settings.CERTIFICATE_SOURCE == "gunicorn":
        # No proxy: whatever header claims an identity is the client's own.
        _report_forged(request, presented)
        return certificate_of_connection(request.META.get("gunicorn.socket"))
    if not _is_trusted(request, secret):
        _report_forged(request, presented)
        return None
    source = SOURCES[settings.CERTIFICATE_SOURCE]
    said = {name: presented.pop(name, "") for name in source.reads}
    if presented:
        strange = [name for name in presented if not name.startswith(source.sends)]
        _report_forged(request, {name: presented[name] for name in strange})
    if settings.PROXY_SIGNATURE_KEYS:
        _check_signature(request, {name: value for name, value in said.items() if value}, now)
    return source.read(said)


def _check_signature(request: HttpRequest, said: dict[str, str], now: dt.datetime) -> None:
    taken = proxy_signature.take(request)
    if not _claims(said):
        return
    try:
        proxy_signature.check(request, taken, said, now)
    except ProxySignatureRefused:
        _report_forged(request, said)
        raise


def _strip(request: HttpRequest) -> dict[str, str]:
    # What a middleware in front of us has read as request.headers is a copy, which would outlive the stripping.
    request.__dict__.pop("headers", None)
    names = [name for name in request.META if name.startswith(_IDENTITY_PREFIXES)]
    return {name: request.META.pop(name) for name in names}


def _is_trusted(request: HttpRequest, secret: str) -> bool:
    # The address of the socket, never X-Forwarded-For. A server that says nothing about the peer says nothing for it.
    if _came_over_unix_socket(request):
        return settings.TRUST_UNIX_SOCKET
    peer = request.META.get("REMOTE_ADDR")
    return peer is not None and _in_trusted_network(peer, settings.TRUSTED_PROXIES) and _is_proxy_secret(secret)


def _came_over_unix_socket(request: HttpRequest) -> bool:
    """Say whether the connection of ``request`` is one of a unix socket.

    gunicorn hands the socket itself over, whose family no header and no middleware changes. Other servers only say
    ``REMOTE_ADDR == ""``, which a middleware can say too: one that copies the first address of ``X-Forwarded-For: ,``
    lets any client on a TCP port be the proxy (securecore.E107).
    """
    connection: Any = request.META.get("gunicorn.socket")
    if connection is not None:
        return getattr(connection, "family", None) is _UNIX
    return request.META.get("REMOTE_ADDR") == ""


def _is_proxy_secret(presented: str) -> bool:
    if not settings.PROXY_SECRETS:
        return bool(settings.PROXY_SIGNATURE_KEYS)  # then it proves itself by signing
    # Every secret is compared, so the time says nothing about which one came near.
    matches = [hmac.compare_digest(presented.encode(), secret.encode()) for secret in settings.PROXY_SECRETS]
    return any(matches)


@lru_cache(maxsize=1024)
def _in_trusted_network(peer: str, networks: tuple[str, ...]) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network) for network in networks)


def _report_forged(request: HttpRequest, presented: dict[str, str]) -> None:
    claims = _claims(presented)
    if claims:
        peer = request.META.get("REMOTE_ADDR", "")
        events.emit(events.HeaderForged(peer=peer, headers=tuple(claims)))


def _claims(presented: dict[str, str]) -> list[str]:
    # Without a certificate a proxy itself sends "NONE", or nothing, or 0, which claim nothing.
    return sorted(name for name, value in presented.items() if value not in ("", "NONE", "0", "::"))
