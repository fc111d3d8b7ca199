"""Sends a request over HTTP/1.1 and hangs up without reading the response, as a client does that lost its network."""

from __future__ import annotations

import socket
import time

from securecore_scan.client.request import Request
from securecore_scan.client.transport import TIMEOUT, Transport
from securecore_scan.outcomes import Inconclusive


def send(transport: Transport, request: Request, seconds: float | None, role: str = "owner") -> None:
    """Send a request, wait ``seconds``, or until the response begins to arrive, and hang up without reading it.

    Raises ``Inconclusive`` if there is no connection.
    """
    transport.spend(request)
    host, port = transport.address
    content = http1(transport, request)
    try:
        plain = socket.create_connection((host, port), TIMEOUT)
        context = transport.context(transport.identity(role)) if transport.is_tls else None
        with context.wrap_socket(plain, server_hostname=host) if context else plain as connection:
            connection.sendall(content)
            if seconds is None:
                connection.recv(1)
            else:
                time.sleep(seconds)
    except OSError as error:
        raise Inconclusive(f"no connection: {type(error).__name__}") from None


def http1(transport: Transport, request: Request) -> bytes:
    """Return the bytes of a request for a connection that ends with it (RFC 9112)."""
    host, port = transport.address
    bracketed = f"[{host}]" if ":" in host else host
    lines = [
        f"{request.method} {transport.prefix}{request.path} HTTP/1.1",
        f"Host: {bracketed}:{port}",
        *(f"{name}: {value}" for name, value in request.headers),
    ]
    lines += [f"Content-Length: {len(request.content)}"] if request.content else []
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + request.content
