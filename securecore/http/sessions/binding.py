"""List the bindings that a request proves, for example the thumbprint of its client certificate.

A binding is ``kind:value``. A session loads only in a request that proves the binding under which the session was
opened. A new kind, for example for device-bound sessions, is one more function in ``KINDS``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from django.http import HttpRequest

from securecore.conf import settings
from securecore.http.request import certificate_of
from securecore.identity import ClientCertificate

#: The value of ``SESSION_BINDING`` and the function that returns the binding to a client certificate.
KINDS: dict[str, Callable[[ClientCertificate], str]] = {
    "thumbprint": lambda certificate: f"x5t#S256:{certificate.thumbprint}",
    "public-key": lambda certificate: f"spki#S256:{certificate.key_thumbprint}",
}


def proven(certificate: ClientCertificate | None) -> tuple[str, ...]:
    """Return each binding that ``certificate`` proves, the binding for new sessions first; empty without one."""
    if certificate is None:
        return ()
    configured = settings.SESSION_BINDING
    return (KINDS[configured](certificate), *(bind(certificate) for kind, bind in KINDS.items() if kind != configured))


def opened_from(request: HttpRequest) -> dict[str, str]:
    """Return the certificate, address and device of the request, which the list of sessions shows."""
    certificate = certificate_of(request)
    return {
        "certificate": certificate.thumbprint if certificate else "",
        "address": address_of(request),
        "device": "".join(char for char in request.META.get("HTTP_USER_AGENT", "") if char.isprintable())[:200],
    }


def address_of(request: HttpRequest) -> str:
    """Return the IP address of the client, or an empty string."""
    # The peer of a unix socket is the proxy and has no address, so the proxy sends the client's in X-Real-IP.
    address = request.META.get("REMOTE_ADDR") or request.META.get("HTTP_X_REAL_IP", "")
    return address if _is_address(address) else ""


def _is_address(text: str) -> bool:
    """Return whether ``text`` is an IP address without a zone (``fe80::1%eth0`` has one).

    A proxy that does not overwrite ``X-Real-IP`` forwards the client's header, which may be any text, also a NUL.
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text
