"""Single requests over TLS connections that may resume the session of an earlier one."""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass

from securecore_scan.client.transport import Transport

_TIMEOUT = 5.0
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


@dataclass(frozen=True)
class Exchange:
    """Whether the connection resumed a session, the session for the next connection, and the status of the response."""

    resumed: bool
    session: ssl.SSLSession | None
    status: int

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300


def exchange(
    transport: Transport,
    context: ssl.SSLContext,
    path: str,
    *,
    method: str = "GET",
    session: ssl.SSLSession | None = None,
) -> Exchange:
    """Send one request over a new connection. Raises ``OSError`` if the connection ends without a response."""
    host, port = transport.address
    transport.budget.spend()
    with (
        socket.create_connection((host, port), timeout=_TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=host, session=session) as connection,
    ):
        # In TLS 1.3 the session ticket arrives with the first response.
        head = f"{method} {transport.prefix}{path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        found = _STATUS.match(connection.recv(4096))
        if found is None:
            raise ConnectionError("the connection ended without a response")
        transport.budget.record_handshake()
        return Exchange(bool(connection.session_reused), connection.session, int(found[1]))
