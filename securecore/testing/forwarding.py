"""The headers of a request as the proxy of the settings forwards it: one spelling for each ``CERTIFICATE_SOURCE``."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable
from typing import Any

from securecore.conf import UNIX_SOCKET, settings
from securecore.errors import Misuse
from securecore.http.edge import sources
from securecore.testing.authority import Issued, require_issued


def forwarded(issued: Issued | None) -> dict[str, Any]:
    """Return META of a request under this certificate, from the trusted proxy; of one without certificate for None.

    Raises ``Misuse`` if the settings trust no proxy, or demand the signature of a proxy, and for another value than a
    certificate of an ``Authority``.
    """
    if issued is not None:
        require_issued(issued)
    source = settings.CERTIFICATE_SOURCE
    if source == "gunicorn":
        return {"gunicorn.socket": _connection(issued)}
    if settings.PROXY_SIGNATURE_KEYS:
        raise Misuse(
            "A test cannot sign as your proxy. Override SECURECORE in tests, with 'PROXY_SIGNATURE_KEYS': [] and "
            "'TRUSTED_PROXIES': ['unix:']."
        )
    return {"REMOTE_ADDR": _peer(), **_secret(), **_HEADERS[source](issued)}


def _peer() -> str:
    """Return an address that ``TRUSTED_PROXIES`` contains; empty for the peer of a unix socket."""
    proxies = settings.TRUSTED_PROXIES
    if not proxies:
        raise Misuse("No proxy is trusted: set SECURECORE['TRUSTED_PROXIES'] = ['unix:'] in the settings of the tests.")
    return "" if UNIX_SOCKET in proxies else str(ipaddress.ip_network(proxies[0])[0])


def _secret() -> dict[str, str]:
    is_over_tcp = UNIX_SOCKET not in settings.TRUSTED_PROXIES
    return {sources.SECRET: settings.PROXY_SECRETS[0]} if is_over_tcp and settings.PROXY_SECRETS else {}


def _nginx(issued: Issued | None) -> dict[str, str]:
    verified, escaped = ("SUCCESS", issued.escaped) if issued else ("NONE", "")
    return {sources.VERIFY: verified, sources.PEM: escaped}


def _haproxy(issued: Issued | None) -> dict[str, str]:
    return {sources.VERIFY: "0"} | _client_cert(issued)


def _client_cert(issued: Issued | None) -> dict[str, str]:
    return {sources.CLIENT_CERT: f":{issued.base64}:"} if issued else {}


def _header(name: str, value: Callable[[Issued], str]) -> Callable[[Issued | None], dict[str, str]]:
    return lambda issued: {name: value(issued)} if issued else {}


_HEADERS: dict[str, Callable[[Issued | None], dict[str, str]]] = {
    "nginx": _nginx,
    "haproxy": _haproxy,
    "rfc9440": _client_cert,
    "caddy": _client_cert,
    "traefik": _header(sources.TRAEFIK, lambda issued: issued.base64),
    "envoy": _header(sources.XFCC, lambda issued: f'Cert="{issued.escaped}"'),
    "aws-alb": _header(sources.AWS_LEAF, lambda issued: issued.escaped),
    "aws-alb-passthrough": _header(sources.AWS, lambda issued: issued.escaped),
}


class _Connection(ssl.SSLSocket):
    """A TLS connection of gunicorn, as far as securecore reads it."""

    issued: Issued | None = None

    @property
    def context(self) -> ssl.SSLContext:  # type: ignore[override]  # of the stubs; Python's own is a property too
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def getpeercert(self, binary_form: bool = False) -> Any:
        return self.issued.der if self.issued else None


def _connection(issued: Issued | None) -> _Connection:
    connection = _Connection.__new__(_Connection)
    connection.issued = issued
    return connection
