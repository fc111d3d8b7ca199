"""What a request proves about its sender, for sessions to be bound to.

A binding is ``kind:value``. Another kind (a device-bound session, say) is one more function here: what it proves is
offered with the rest, and a session opens for whoever proves what it was bound to when it was opened.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from securecore.conf import settings

#: By the word in ``SESSION_BINDING``. Each returns its binding, or nothing if the request does not prove any.
KINDS: dict[str, Callable[[Any], str]] = {
    "thumbprint": lambda request: f"x5t#S256:{request.client_certificate.thumbprint}",
    "public-key": lambda request: f"spki#S256:{request.client_certificate.key_thumbprint}",
}


def proven(request: Any) -> tuple[str, ...]:
    """Return every binding that the request proves, the one for new sessions first; empty without a certificate."""
    if getattr(request, "client_certificate", None) is None:
        return ()
    wanted = settings.SESSION_BINDING
    return (KINDS[wanted](request), *(prove(request) for kind, prove in KINDS.items() if kind != wanted))


def opened_from(request: Any) -> dict[str, str]:
    """Return what the list of sessions shows of where one was opened: certificate, address and device."""
    meta = request.META
    certificate = getattr(request, "client_certificate", None)
    # Only the proxy's own word for the address; the peer of a unix socket is the proxy and has none.
    address = meta.get("REMOTE_ADDR") or meta.get("HTTP_X_REAL_IP", "")
    return {
        "certificate": certificate.thumbprint if certificate else "",
        "address": address if _is_address(address) else "",
        "device": "".join(each for each in meta.get("HTTP_USER_AGENT", "") if each.isprintable())[:200],
    }


def _is_address(text: str) -> bool:
    """Say whether ``text`` is an IP address, without the zone of a link-local one.

    A proxy that does not overwrite ``X-Real-IP`` forwards the client's own: any text, NUL too.
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text
