"""Which hosts may be scanned: loopback, and hosts that the caller named with --allow-host."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit


class BadTarget(Exception):
    """The URL is malformed, or its host may not be scanned."""


def check_url(url: str, hosts: frozenset[str] = frozenset()) -> SplitResult:
    """Return the parts of a URL that may be scanned: a loopback URL, or https to one of ``hosts``.

    Raises ``BadTarget``.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadTarget(f"{url!r} is not a URL: {error}") from None
    host = parts.hostname or ""
    if parts.scheme not in ("https", "http") or not host or port == 0:
        raise BadTarget(f"{parts.scheme}://{host} is not an http or https URL.")
    if parts.username or parts.password:
        raise BadTarget("The URL contains a password, which reports would print. Name a certificate with --cert.")
    if not _is_loopback(host) and host not in hosts:
        raise BadTarget(
            f"{host} is not this machine. If the host is yours and may be attacked, add --allow-host {host}."
        )
    if parts.scheme == "http" and not _is_loopback(host):
        raise BadTarget(f"http:// to {host} would send tokens in the clear. Plain http is for loopback only.")
    return parts


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
