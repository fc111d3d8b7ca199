"""Sessions and certificates for consumers of Channels. Nothing here needs the package ``channels``.

Channels' own ``AuthMiddlewareStack`` opens a session by its cookie alone, and never sees the certificate.
"""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse

from securecore.errors import Refused
from securecore.http import middleware
from securecore.http.edge.admission import refuse_cross_site

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Any, Send], Awaitable[None]]


class SessionMiddleware:
    """Judge the handshake of a websocket as an HTTP request is judged, in place of Channels' ``AuthMiddlewareStack``.

    ::

        application = ProtocolTypeRouter({
            "http": get_asgi_application(),
            "websocket": SessionMiddleware(URLRouter(...)),
        })

    The consumer finds ``scope["user"]``, ``scope["session"]``, ``scope["client_certificate"]`` and
    ``scope["certificate_user"]``. A handshake of a page of another site is refused, as is a revoked or expired
    certificate (close code 4403). Other protocols pass.

    The handshake is judged once, and the connection may outlive a logout or a revocation. A consumer checks each
    message that has an effect: ``authorize(principal_of(scope["user"]), ...)`` on a thread reads the permission anew.
    """

    def __init__(self, inner: Application) -> None:
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.inner(scope, receive, send)
            return
        try:
            judged = await sync_to_async(_judge)(scope)
        except Refused:
            await send({"type": "websocket.close", "code": 4403})
            return
        await self.inner({**scope, **judged}, receive, send)


def _judge(scope: Scope) -> Scope:
    """Return the entries of the scope that the handshake proves. Raises the refusals of an HTTP request."""
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    request: Any = ASGIRequest({**scope, "type": "http", "method": "POST", "scheme": scheme}, io.BytesIO())
    refuse_cross_site(request)  # a browser sends a cookie and a certificate for the websocket of any page
    request.method = request.META["REQUEST_METHOD"] = "GET"
    middleware.ClientCertificateMiddleware(_nothing).admit(request)
    middleware.SessionMiddleware(_nothing).process_request(request)
    middleware.AuthenticationMiddleware(_nothing).process_request(request)
    is_known = request.user.is_authenticated  # reads the session, on this thread
    return {
        "client_certificate": request.client_certificate,
        "certificate_user": request.certificate_user,
        "session": request.session,
        "user": request.user._wrapped if is_known else request.user,
    }


def _nothing(_: Any) -> HttpResponse:
    return HttpResponse()
