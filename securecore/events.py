"""The events: named records of notable facts, each with a fixed payload.

An event is a frozen value. ``emit`` logs the event (logger ``securecore``, the payload under ``extra``) and sends the
signal ``happened``, for audit tables, metrics and alerts. No event holds a secret, a token or a session id.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import ClassVar

from django.dispatch import Signal

from securecore.texts import without_secrets

logger = logging.getLogger("securecore")

#: Sent with ``event=`` for every event. The error of a failing receiver is logged, and changes no response.
happened = Signal()


@dataclass(frozen=True, kw_only=True)
class Event:
    name: ClassVar[str]
    level: ClassVar[int] = logging.WARNING


@dataclass(frozen=True, kw_only=True)
class RequestEvent(Event):
    """An event that names the path of a request, without the secrets in the path (``without_secrets``)."""

    path: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", without_secrets(self.path))


@dataclass(frozen=True, kw_only=True)
class HeaderForged(Event):
    """A peer that is no trusted proxy sent identity headers, or the proxy's signature was missing.

    The headers were stripped.
    """

    name = "securecore.identity.header-forged"
    peer: str
    headers: tuple[str, ...]


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
    nginx's access log and this event can be joined. ``user`` is a principal.
    """

    name = "securecore.http.request-refused"
    code: str
    method: str
    thumbprint: str | None
    reason: str
    serial: str | None = None
    user: str | None = None
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
class CertificatePending(Event):
    """A verified certificate without an enrolment was presented for the first time, and waits for an operator."""

    name = "securecore.identity.certificate-pending"
    level = logging.INFO
    thumbprint: str
    subject: str


@dataclass(frozen=True, kw_only=True)
class CertificateAdmitted(Event):
    """An operator enrolled a pending certificate for a user."""

    name = "securecore.identity.certificate-admitted"
    level = logging.INFO
    thumbprint: str
    user: str
    by: str


@dataclass(frozen=True, kw_only=True)
class CertificateEnrolled(Event):
    """A certificate, or the certificates of a match, were enrolled for a user, or for no user: of a service."""

    name = "securecore.identity.certificate-enrolled"
    level = logging.INFO
    thumbprint: str
    user: str | None
    matched_by: str


@dataclass(frozen=True, kw_only=True)
class CertificateRevoked(Event):
    name = "securecore.identity.certificate-revoked"
    level = logging.INFO
    thumbprint: str
    sessions_ended: int


@dataclass(frozen=True, kw_only=True)
class SessionOpened(Event):
    """A user logged in, or stepped up. ``thumbprint`` is the certificate of the connection."""

    name = "securecore.sessions.session-opened"
    level = logging.INFO
    user: str
    thumbprint: str | None


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
class SessionsEnded(Event):
    """Sessions were ended other than by their own logout."""

    name = "securecore.sessions.sessions-ended"
    level = logging.INFO
    #: The user or the certificate of these sessions; empty for all, and for sessions that a query selected.
    subject: str = ""
    count: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class TokenRevoked(Event):
    name = "securecore.tokens.token-revoked"
    level = logging.INFO
    jti: str


@dataclass(frozen=True, kw_only=True)
class FamilyRevoked(Event):
    """A refresh-token family was revoked on request, with all its refresh and access tokens."""

    name = "securecore.tokens.family-revoked"
    level = logging.INFO
    family: str


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
class RefreshTokenReused(Event):
    """A replaced refresh token was presented: by a thief, or by the client after a thief had redeemed the token.

    The family was revoked.
    """

    name = "securecore.tokens.refresh-token-reused"
    family: str
    user: str
    client_id: str


@dataclass(frozen=True, kw_only=True)
class RefreshTokenRefused(Event):
    """A refresh token was refused, and no token was revoked for it."""

    name = "securecore.tokens.refresh-token-refused"
    family: str | None
    client_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class EverythingRevoked(Event):
    """All tokens of a user, of a client, or of all users and clients were revoked."""

    name = "securecore.tokens.everything-revoked"
    level = logging.INFO
    subject: str


@dataclass(frozen=True, kw_only=True)
class KeyStored(Event):
    """``securecore_keys rotate`` stored a new signing key."""

    name = "securecore.tokens.key-stored"
    level = logging.INFO
    kid: str
    algorithm: str


@dataclass(frozen=True, kw_only=True)
class KeyRetired(Event):
    name = "securecore.tokens.key-retired"
    level = logging.INFO
    kid: str


@dataclass(frozen=True, kw_only=True)
class SignatureKeyRegistered(Event):
    name = "securecore.replay.signature-key-registered"
    level = logging.INFO
    keyid: str
    user: str


@dataclass(frozen=True, kw_only=True)
class SignatureKeyRevoked(Event):
    """A registered key was revoked: no request that it signs is accepted any more."""

    name = "securecore.replay.signature-key-revoked"
    level = logging.INFO
    keyid: str


@dataclass(frozen=True, kw_only=True)
class LeaseTakenOver(Event):
    """A request with an idempotency key did not end within its lease: its process died, or is too slow."""

    name = "securecore.idempotency.lease-taken-over"
    record: str
    attempt: int


@dataclass(frozen=True, kw_only=True)
class GrantGiven(Event):
    """``grants.grant()`` committed a new grant or denial. A row that SQL or the admin inserts emits no event.

    ``object`` is empty, or the model label and primary key, for example ``payments.account:7``.
    """

    name = "securecore.grants.grant-given"
    level = logging.INFO
    principal: str
    permission: str
    object: str = ""
    #: Whether the grant is a denial.
    denies: bool = False


@dataclass(frozen=True, kw_only=True)
class GrantRevoked(Event):
    name = "securecore.grants.grant-revoked"
    level = logging.INFO
    principal: str
    permission: str
    object: str = ""


@dataclass(frozen=True, kw_only=True)
class AllGrantsRevoked(Event):
    """All grants of this principal itself were revoked."""

    name = "securecore.grants.all-grants-revoked"
    level = logging.INFO
    principal: str
    count: int


@dataclass(frozen=True, kw_only=True)
class GroupMembershipRevoked(Event):
    name = "securecore.grants.group-membership-revoked"
    level = logging.INFO
    principal: str
    group: str


@dataclass(frozen=True, kw_only=True)
class UserDeactivated(Event):
    name = "securecore.identity.user-deactivated"
    level = logging.INFO
    user: str
    sessions_ended: int


@dataclass(frozen=True, kw_only=True)
class ClientRegistered(Event):
    name = "securecore.tokens.client-registered"
    level = logging.INFO
    client_id: str
    user: str


@dataclass(frozen=True, kw_only=True)
class ClientDisabled(Event):
    name = "securecore.tokens.client-disabled"
    level = logging.INFO
    client_id: str


@dataclass(frozen=True, kw_only=True)
class PermissionRefused(Event):
    """A check refused this permission to the caller with these own names; ``object`` is ``app.model:key`` or empty."""

    name = "securecore.grants.permission-refused"
    principals: tuple[str, ...]
    permission: str
    object: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class GateHolderEnded(Event):
    """A revocation of these principals waited too long, and ended the PostgreSQL session that held the gate."""

    name = "securecore.grants.gate-holder-ended"
    principals: tuple[str, ...]
    pid: int


@dataclass(frozen=True, kw_only=True)
class DatabaseAway(RequestEvent):
    """The database did not answer; the request was refused with 503."""

    name = "securecore.http.database-away"
    level = logging.ERROR
    reason: str


def emit(event: Event) -> None:
    """Log ``event`` and send ``happened``.

    Needs no transaction, so the event of a refusal stays when the request rolls back.
    """
    if logger.isEnabledFor(event.level):
        # Not asdict(), which copies the value of each field: that took 12 of 30 us.
        payload = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
        text = " ".join(f"{key}={value!r}" for key, value in payload.items())
        logger.log(event.level, "%s %s", event.name, text, extra={"event": event.name, "payload": payload})
    for receiver, outcome in happened.send_robust(sender=type(event), event=event):
        if isinstance(outcome, Exception):
            logger.error("receiver %r of %s failed", receiver, event.name, exc_info=outcome)


def every_event(base: type[Event] = Event) -> list[type[Event]]:
    """Return all event classes, in order of definition."""
    named = ((sub, *every_event(sub)) for sub in base.__subclasses__())
    return [event for kinds in named for event in kinds if "name" in vars(event)]
