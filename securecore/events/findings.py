"""The events that change nothing: refusals, attacks, and mistakes of the deployment. They have no audit row."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from securecore.events.emission import Event, RequestEvent
from securecore.texts import without_secrets


@dataclass(frozen=True, kw_only=True)
class HeaderForged(Event):
    """A peer that is no trusted proxy sent identity headers, or the proxy's signature was missing.

    The headers were stripped. ``reason`` helps against an honest proxy that the settings do not name.
    """

    name = "securecore.identity.header-forged"
    peer: str
    headers: tuple[str, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class ProxyAddressUnknown(Event):
    """The proxy's secret came from an address that TRUSTED_PROXIES does not name, so the proxy was not trusted.

    The secret is in wrong hands, or the server has overwritten the proxy's address with the client's from
    X-Forwarded-For. uvicorn does so for a proxy on 127.0.0.1; start uvicorn with ``--no-proxy-headers``.
    """

    name = "securecore.identity.proxy-address-unknown"
    peer: str


@dataclass(frozen=True, kw_only=True)
class ServerConfusesHeaders(Event):
    """The WSGI server takes X_SSL_Client_Verify for X-SSL-Client-Verify; emitted once in each process.

    Unless the proxy drops the name with the underscore, as nginx does, a client can claim any certificate. Serve the
    ASGI application instead, or serve by gunicorn.
    """

    name = "securecore.identity.server-confuses-headers"
    server: str


@dataclass(frozen=True, kw_only=True)
class RequestRefused(RequestEvent):
    """A request was refused; its problem response has this code.

    ``serial`` is the certificate's serial number in nginx's spelling, and ``request_id`` is nginx's ``$request_id``, so
    nginx's access log and this event can be joined. ``user`` is a principal. ``jti`` and ``client_id`` are those of the
    presented access token if its signature, dates and names are good.
    """

    name = "securecore.http.request-refused"
    code: str
    method: str
    thumbprint: str | None
    reason: str
    serial: str | None = None
    user: str | None = None
    jti: str | None = None
    client_id: str | None = None
    address: str = ""
    request_id: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("method", "reason"):
            object.__setattr__(self, field, without_secrets(getattr(self, field)))


@dataclass(frozen=True, kw_only=True)
class WouldRefuse(Event):
    """A protection in observe mode let a request pass that it would refuse with this code."""

    name = "securecore.http.would-refuse"
    code: str
    protection: str
    reason: str
    actor: str
    request_id: str


@dataclass(frozen=True, kw_only=True)
class SessionBindingMismatch(Event):
    """A live session id was presented under another certificate than that of its binding: it was stolen or shared."""

    name = "securecore.sessions.binding-mismatch"
    user: str | None
    bound_to: str
    presented: str


@dataclass(frozen=True, kw_only=True)
class SessionIdExposed(RequestEvent):
    """A text like a session id was in the query string, the path, a header or the body, where none is ever read."""

    name = "securecore.sessions.id-exposed"
    place: str
    #: The user of the session that the id opens, if it opens one. Logs and browser histories now contain the id.
    user: str | None
    live: bool


@dataclass(frozen=True, kw_only=True)
class CredentialsConflicting(Event):
    """Two credentials of one request name two callers: one was stolen, or a client mixes up its users."""

    name = "securecore.caller.credentials-conflicting"
    #: The kinds of the two credentials, the stronger first (see ``caller.credential_table``).
    credentials: tuple[str, str]
    #: The principals of the two users.
    token_user: str | None
    session_user: str | None
    thumbprint: str | None


@dataclass(frozen=True, kw_only=True)
class RefreshTokenRefused(Event):
    """A refresh token was refused, and no token was revoked for it."""

    name = "securecore.tokens.refresh-token-refused"
    family: str | None
    client_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TokenInactive(Event):
    """A service introspected a token, and the response says that it is not active. The service gives its caller a 401.

    ``client_id`` is the service. The response holds no reason (RFC 7662 section 2.2).
    """

    name = "securecore.tokens.token-inactive"
    level = logging.INFO
    client_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SimpleJWTAccepted(RequestEvent):
    """A token of djangorestframework-simplejwt was accepted, in a project that moves from that package.

    ``user`` is a principal with a client that does not use the new tokens yet. A day without this event shows that each
    client has moved, and that the old tokens can end.
    """

    name = "securecore.tokens.simplejwt-accepted"
    level = logging.INFO
    user: str
    jti: str


@dataclass(frozen=True, kw_only=True)
class PermissionRefused(Event):
    """A check refused this permission to the caller with these own names; ``object`` is ``app.model:key`` or empty."""

    name = "securecore.grants.permission-refused"
    principals: tuple[str, ...]
    permission: str
    object: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class DatabaseAway(RequestEvent):
    """The database did not answer; the request was refused with 503."""

    name = "securecore.http.database-away"
    level = logging.ERROR
    reason: str
