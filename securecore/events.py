"""Every notable thing by name, with its payload.

An event is a frozen value. ``emit`` logs it (logger ``securecore``, the payload under ``extra``) and sends the signal
``happened``, for audit tables, metrics and alerts. No event holds a secret, a token or a session id.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Any, ClassVar, TypeGuard

from django.dispatch import Signal

from securecore.texts import without_secrets

logger = logging.getLogger("securecore")

#: Sent with ``event=`` for every event. A receiver that fails is logged and changes no answer.
happened = Signal()


@dataclass(frozen=True, kw_only=True)
class Event:
    name: ClassVar[str]
    level: ClassVar[int] = logging.WARNING


@dataclass(frozen=True, kw_only=True)
class RequestEvent(Event):
    """An event that names the path of a request. A secret in the path is not kept (``without_secrets``)."""

    path: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", without_secrets(self.path))


@dataclass(frozen=True, kw_only=True)
class HeaderForged(Event):
    """Identity headers came from a peer that is not the proxy, or without its signature; they were stripped."""

    name = "securecore.identity.header-forged"
    peer: str
    headers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RequestRefused(RequestEvent):
    """A request was answered with a problem of this code."""

    name = "securecore.http.request-refused"
    code: str
    method: str
    thumbprint: str | None
    reason: str

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("method", "reason"):
            object.__setattr__(self, field, without_secrets(getattr(self, field)))


@dataclass(frozen=True, kw_only=True)
class CertificatePending(Event):
    """A verified certificate that nobody enrolled came for the first time, and waits for an operator to admit it."""

    name = "securecore.identity.certificate-pending"
    level = logging.INFO
    thumbprint: str
    subject: str


@dataclass(frozen=True, kw_only=True)
class CertificateAdmitted(Event):
    """An operator gave a pending certificate to a user."""

    name = "securecore.identity.certificate-admitted"
    level = logging.INFO
    thumbprint: str
    user: str
    by: str


@dataclass(frozen=True, kw_only=True)
class CertificateRevoked(Event):
    name = "securecore.identity.certificate-revoked"
    level = logging.INFO
    thumbprint: str
    sessions_ended: int


@dataclass(frozen=True, kw_only=True)
class SessionBindingMismatch(Event):
    """A live session id came under another certificate than its own: the id was stolen, or shared."""

    name = "securecore.sessions.binding-mismatch"
    user: str | None
    bound_to: str
    presented: str
    #: Whether the session was ended, as ``SESSION_MISMATCH`` may say.
    ended: bool = False


@dataclass(frozen=True, kw_only=True)
class SessionIdExposed(RequestEvent):
    """Something like a session id came where none is ever read: the query string, the path, a header or the body."""

    name = "securecore.sessions.id-exposed"
    place: str
    #: Whose live session the id opens, if it does; it is in logs and histories now.
    user: str | None
    live: bool


@dataclass(frozen=True, kw_only=True)
class SessionsEnded(Event):
    """Sessions were ended by somebody other than their own logout."""

    name = "securecore.sessions.sessions-ended"
    level = logging.INFO
    count: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class TokenRevoked(Event):
    name = "securecore.tokens.token-revoked"
    level = logging.INFO
    jti: str


@dataclass(frozen=True, kw_only=True)
class FamilyRevoked(Event):
    """A refresh token and all access tokens that came of it were revoked on request."""

    name = "securecore.tokens.family-revoked"
    level = logging.INFO
    family: str


@dataclass(frozen=True, kw_only=True)
class CredentialsConflicting(Event):
    """Two credentials of one request belong to two callers: one was stolen, or a client mixes up its users."""

    name = "securecore.caller.credentials-conflicting"
    #: The kinds of the two, the stronger first (see ``access.caller``).
    credentials: tuple[str, str]
    #: Principals.
    token_user: str | None
    session_user: str | None
    thumbprint: str | None


@dataclass(frozen=True, kw_only=True)
class RefreshTokenReused(Event):
    """A refresh token was presented that had been replaced: it was stolen, or its thief was faster. The family is
    dead.
    """

    name = "securecore.tokens.refresh-token-reused"
    family: str
    user: str
    client_id: str


@dataclass(frozen=True, kw_only=True)
class RefreshTokenRefused(Event):
    """A refresh token was not redeemed; nothing was revoked for it."""

    name = "securecore.tokens.refresh-token-refused"
    family: str | None
    client_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class EverythingRevoked(Event):
    """All tokens of a user, a client or everybody were revoked."""

    name = "securecore.tokens.everything-revoked"
    level = logging.INFO
    subject: str


@dataclass(frozen=True, kw_only=True)
class KeyRetired(Event):
    name = "securecore.tokens.key-retired"
    level = logging.INFO
    kid: str


@dataclass(frozen=True, kw_only=True)
class SignatureKeyRevoked(Event):
    """Nothing that this registered key signs is accepted any more."""

    name = "securecore.replay.signature-key-revoked"
    level = logging.INFO
    keyid: str


@dataclass(frozen=True, kw_only=True)
class LeaseTakenOver(Event):
    """A request under an idempotency key did not end within its lease: its process died, or is too slow."""

    name = "securecore.idempotency.lease-taken-over"
    record: str
    attempt: int


@dataclass(frozen=True, kw_only=True)
class GrantGiven(Event):
    name = "securecore.grants.grant-given"
    level = logging.INFO
    principal: str
    permission: str
    object: str = ""
    #: Whether it takes away rather than gives.
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
    """Everything that was granted to this principal itself was revoked."""

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
class ClientDisabled(Event):
    name = "securecore.tokens.client-disabled"
    level = logging.INFO
    client_id: str


@dataclass(frozen=True, kw_only=True)
class PermissionRefused(Event):
    """A caller, by all its own names, may not do this; ``object`` is ``app.model:key`` or empty."""

    name = "securecore.grants.permission-refused"
    principals: tuple[str, ...]
    permission: str
    object: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class GateHolderEnded(Event):
    """A revocation of these principals had waited too long, and ended the database session that held its gate."""

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
    """Log ``event`` and send ``happened``. Needs no transaction: a refusal is known even if its request rolls back."""
    if logger.isEnabledFor(event.level):
        # Not asdict(), which copies whatever is in a field: 12 of 30 us.
        payload = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
        text = " ".join(f"{key}={value!r}" for key, value in payload.items())
        logger.log(event.level, "%s %s", event.name, text, extra={"event": event.name, "payload": payload})
    for receiver, outcome in happened.send_robust(sender=type(event), event=event):
        if isinstance(outcome, Exception):
            logger.error("receiver %r of %s failed", receiver, event.name, exc_info=outcome)


class PathFilter(logging.Filter):
    """Takes secrets out of the paths that Django itself logs for an answer of 400 and above."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(without_secrets(each) if _is_path(each) else each for each in record.args)
        return True


def _is_path(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value.startswith("/")


#: Where Django writes the path of a request: "Not Found: /page;jsessionid=...".
_DJANGO_LOGGERS = ("django.request", "django.security.csrf")
_path_filter = PathFilter()


def filter_django_logs() -> None:
    """Let no secret of a path into the logs of ``django.request``. Other loggers are the project's own."""
    for name in _DJANGO_LOGGERS:
        logging.getLogger(name).addFilter(_path_filter)


def every_event(base: type[Event] = Event) -> list[type[Event]]:
    """Return all event classes, in order of definition."""
    named = ((sub, *every_event(sub)) for sub in base.__subclasses__())
    return [found for kinds in named for found in kinds if "name" in vars(found)]
