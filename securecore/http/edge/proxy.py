"""Read the client certificate that the trusted proxy names, and report identity headers of other peers.

``sources`` holds the header format of each proxy. This module decides whether the peer is the trusted proxy.
"""

from __future__ import annotations

import datetime as dt
import hmac
import ipaddress
import re
from functools import lru_cache

from django.http import HttpRequest

from securecore import events
from securecore.conf import UNIX_SOCKET, settings
from securecore.errors import ProxySignatureRefused
from securecore.http.edge import peer, proxy_signature
from securecore.http.edge.sources import IDENTITY_PREFIXES, REQUEST_ID, SECRET, SOURCES, certificate_of_connection
from securecore.http.request import SecureRequest, state_of
from securecore.identity import ClientCertificate, chain

#: The id of a request: nginx writes 32 hexadecimal digits, other proxies a UUID. A longer text would fill the logs.
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")


def proven_certificate(request: SecureRequest, now: dt.datetime) -> ClientCertificate | None:
    """Return the certificate that the trusted proxy verified on this connection, or None. Remove the identity headers.

    With "self-signed" in ``CERTIFICATE_MATCHES`` return also a certificate that the proxy could not verify, with
    ``is_verified`` False. ``request.credentials.user_of_certificate()`` decides whether such a certificate has a user.

    The header ``X-Request-ID`` of the trusted proxy becomes the id of the request. From any other peer it is removed.

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
    request: SecureRequest, presented: dict[str, str], now: dt.datetime
) -> ClientCertificate | None:
    secret, request_id = presented.pop(SECRET, ""), request.META.pop(REQUEST_ID, "")
    if settings.CERTIFICATE_SOURCE == "gunicorn":
        # There is no proxy, so each identity header comes from the client.
        _report_forged(request, presented, "No proxy stands in front: CERTIFICATE_SOURCE is gunicorn.")
        return certificate_of_connection(request.META.get("gunicorn.socket"))
    if not _is_trusted(request, secret):
        _report_forged(request, presented, _why_not_trusted(request, secret))
        return None
    if _REQUEST_ID.fullmatch(request_id):
        state_of(request).request_id = request_id
    source = SOURCES[settings.CERTIFICATE_SOURCE]
    headers = {name: presented.pop(name, "") for name in source.reads}
    if presented:
        strange = [name for name in presented if not name.startswith(source.sends)]
        reason = f"The trusted proxy let them pass: CERTIFICATE_SOURCE {settings.CERTIFICATE_SOURCE!r} has others."
        _report_forged(request, {name: presented[name] for name in strange}, reason)
    if settings.PROXY_SIGNATURE_KEYS:
        _check_signature(request, {name: value for name, value in headers.items() if value}, now)
    return source.read(headers)


def _check_signature(request: HttpRequest, headers: dict[str, str], now: dt.datetime) -> None:
    taken = proxy_signature.take(request)
    if not _claims(headers):
        return
    try:
        proxy_signature.check(request, taken, headers, now)
    except ProxySignatureRefused:
        _report_forged(request, headers, "The signature of the proxy is missing or wrong.")
        raise


def _strip(request: HttpRequest) -> dict[str, str]:
    # request.headers is a cached copy. If an earlier middleware has read it, the copy still holds the identity headers.
    request.__dict__.pop("headers", None)
    names = [name for name in request.META if name.startswith(IDENTITY_PREFIXES)]
    return {name: request.META.pop(name) for name in names}


def _is_trusted(request: HttpRequest, secret: str) -> bool:
    # Use the address of the socket, never X-Forwarded-For. A server that gives no peer address gives no reason to
    # trust the peer.
    if peer.came_over_unix_socket(request):
        return UNIX_SOCKET in settings.TRUSTED_PROXIES
    if peer.is_unknown(request):
        return UNIX_SOCKET in settings.TRUSTED_PROXIES and _is_proxy_secret(secret)
    address = request.META.get("REMOTE_ADDR")
    if address is None or not _is_proxy_secret(secret):
        return False
    is_trusted = _in_trusted_network(address, settings.TRUSTED_PROXIES)
    if not is_trusted and settings.PROXY_SECRETS:
        events.emit(events.ProxyAddressUnknown(peer=address))
    return is_trusted


def _why_not_trusted(request: HttpRequest, secret: str) -> str:
    """Return the setting that keeps this peer from being the proxy. The secret itself is in no event."""
    if peer.came_over_unix_socket(request):
        return "It came over a unix socket, and TRUSTED_PROXIES has no 'unix:'."
    address = request.META.get("REMOTE_ADDR")
    if address is not None and not _in_trusted_network(address, settings.TRUSTED_PROXIES):
        return "TRUSTED_PROXIES does not name its address."
    return "Its X-Proxy-Auth is none of PROXY_SECRETS." if secret else "It sent no X-Proxy-Auth."


def _is_proxy_secret(presented: str) -> bool:
    if not settings.PROXY_SECRETS:
        return bool(settings.PROXY_SIGNATURE_KEYS)  # then the proxy's signature proves the proxy
    # Compare each secret, so that the duration does not reveal which secret matches.
    matches = [hmac.compare_digest(presented.encode(), secret.encode()) for secret in settings.PROXY_SECRETS]
    return any(matches)


@lru_cache(maxsize=1024)
def _in_trusted_network(text: str, networks: tuple[str, ...]) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network) for network in networks if network != UNIX_SOCKET)


def _report_forged(request: HttpRequest, presented: dict[str, str], reason: str) -> None:
    claims = _claims(presented)
    if claims:
        address = request.META.get("REMOTE_ADDR", "")
        events.emit(events.HeaderForged(peer=address, headers=tuple(claims), reason=reason))


def _claims(presented: dict[str, str]) -> list[str]:
    # For a connection without a certificate an honest proxy sends "NONE", "0", "::" or an empty header.
    return sorted(name for name, value in presented.items() if value not in ("", "NONE", "0", "::"))
