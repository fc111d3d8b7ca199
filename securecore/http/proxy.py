"""What the proxy in front of us says about the client's certificate, and whether it is our proxy that says it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hmac
import ipaddress
from functools import lru_cache

from django.http import HttpRequest

from securecore import events
from securecore.conf import settings
from securecore.errors import CertificateMalformed, CertificateNotVerified
from securecore.identity import ClientCertificate, parse_escaped_pem

VERIFY = "HTTP_X_SSL_CLIENT_VERIFY"
CERTIFICATE = "HTTP_X_SSL_CLIENT_CERT"
SECRET = "HTTP_X_PROXY_AUTH"  # noqa: S105

#: Every header in which some proxy forwards a certificate. None of them reaches a view: what we read is removed with
#: what we do not, so that no code behind us can believe them by mistake.
_IDENTITY_PREFIXES = (
    "HTTP_X_SSL_",
    "HTTP_SSL_",
    "HTTP_X_PROXY_AUTH",
    "HTTP_CLIENT_CERT",
    "HTTP_X_CLIENT_CERT",
    "HTTP_X_FORWARDED_CLIENT_CERT",
    "HTTP_X_FORWARDED_TLS_CLIENT_CERT",
    "HTTP_X_AMZN_MTLS_",
)


def proven_certificate(request: HttpRequest, now: dt.datetime) -> ClientCertificate | None:
    """Return the certificate that the trusted proxy verified on this connection, or None. Strips identity headers.

    With ``SELF_SIGNED_CERTIFICATES`` also one that it could not verify, ``is_verified`` being false: whether that is
    good says ``access.user_of_certificate``.

    Raises ``CertificateNotVerified``, ``CertificateMalformed``, ``CertificateTooLarge``, ``CertificateExpired``.
    """
    presented = _strip(request)
    if not _is_trusted(request, presented.pop(SECRET, "")):
        # Without a certificate the proxy itself sends "NONE", which claims nothing.
        if set(presented.values()) - {"", "NONE"}:
            _report_forged(request, presented)
        return None
    verify = presented.pop(VERIFY, "")
    escaped = presented.pop(CERTIFICATE, "")
    presented = {name: value for name, value in presented.items() if not name.startswith("HTTP_X_SSL_") and value}
    if presented:
        _report_forged(request, presented)
    return _read(verify, escaped, now)


def _read(verify: str, escaped: str, now: dt.datetime) -> ClientCertificate | None:
    # Both directions: success without a certificate, and a certificate without success. Equal to "SUCCESS" and nothing
    # less: doubled headers arrive joined, as "NONE,SUCCESS".
    if verify in ("", "NONE") and not escaped:
        return None
    if verify == "SUCCESS" and escaped:
        certificate = parse_escaped_pem(escaped)
        certificate.check_validity(now)
        return certificate
    if verify.startswith("FAILED") and escaped and settings.SELF_SIGNED_CERTIFICATES:
        # The client holds the key, or the handshake had failed; that nobody vouches for the name is judged next.
        certificate = parse_escaped_pem(escaped)
        certificate.check_validity(now)
        return dataclasses.replace(certificate, is_verified=False)
    if verify.startswith("FAILED") or verify in ("", "NONE"):
        raise CertificateNotVerified
    raise CertificateMalformed


def _strip(request: HttpRequest) -> dict[str, str]:
    # What a middleware in front of us has read as request.headers is a copy, which would outlive the stripping.
    request.__dict__.pop("headers", None)
    names = [name for name in request.META if name.startswith(_IDENTITY_PREFIXES)]
    return {name: request.META.pop(name) for name in names}


def _is_trusted(request: HttpRequest, secret: str) -> bool:
    # The address of the socket, never X-Forwarded-For. gunicorn gives "" for the peer of a unix socket.
    # A server that says nothing about the peer says nothing for it.
    peer = request.META.get("REMOTE_ADDR")
    if peer == "":
        return settings.TRUST_UNIX_SOCKET
    return peer is not None and _in_trusted_network(peer, settings.TRUSTED_PROXIES) and _is_proxy_secret(secret)


def _is_proxy_secret(presented: str) -> bool:
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
    peer = request.META.get("REMOTE_ADDR", "")
    events.emit(events.HeaderForged(peer=peer, headers=tuple(sorted(presented))))
