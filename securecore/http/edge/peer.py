"""Say whether the peer of a connection is at a unix socket. ``proxy`` decides whether the peer is the trusted proxy.

Note [The address of the server]
    Under ASGI the address of the *client* proves no unix socket. uvicorn 0.54 gives none for a unix socket, and also
    none for a TCP connection that the client resets before the server asks for its address: an attacker could send a
    request with identity headers, reset the connection, and pass as the proxy. The address of the *server* is the
    socket on which it listens, and no client can change it: a path for a unix socket (uvicorn, Granian 2.8, the ASGI
    worker of gunicorn 27), an IP address for TCP. Daphne 4.2 gives neither address for a unix socket.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

#: On a system without unix sockets, an object that equals no socket family.
_UNIX = getattr(socket, "AF_UNIX", object())


def came_over_unix_socket(request: HttpRequest) -> bool:
    """Return whether ``request`` came over a unix socket.

    Under WSGI gunicorn passes the socket object, and no header and no middleware can change its family. Other WSGI
    servers only set ``REMOTE_ADDR`` to ``""``, and a middleware can set the same value. For example a middleware that
    copies the first address of ``X-Forwarded-For: ,`` lets each client on a TCP port pass as the proxy
    (securecore.E107). Under ASGI the server's own address decides (Note [The address of the server]).
    """
    if isinstance(request, ASGIRequest):
        server: Any = request.scope.get("server")
        return bool(server) and str(server[0]).startswith("/")
    connection: Any = request.META.get("gunicorn.socket")
    if connection is not None:
        return getattr(connection, "family", None) is _UNIX
    return request.META.get("REMOTE_ADDR") == ""


def is_unknown(request: HttpRequest) -> bool:
    """Return whether an ASGI server names neither its own address nor the client's, as Daphne on a unix socket.

    Then only the proxy's secret proves the proxy.
    """
    if not isinstance(request, ASGIRequest):
        return False
    return not request.scope.get("server") and not request.scope.get("client")


#: Servers that, as WSGI servers, map X_SSL_Client_Verify and X-SSL-Client-Verify to the same variable: measured with
#: uvicorn 0.54, Hypercorn 0.18 and Granian 2.8. Under ASGI Django drops a name with an underscore.
_CONFUSING_SERVERS = ("granian", "hypercorn", "uvicorn")


def confusing_server(request: HttpRequest) -> str:
    """Return the name of the running WSGI server that accepts header names with underscores, or an empty string."""
    if isinstance(request, ASGIRequest) or "gunicorn.socket" in request.META:
        return ""
    return next((name for name in _CONFUSING_SERVERS if name in sys.modules), "")
