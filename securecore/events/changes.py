"""The events of changes. Each has an audit row, except ``GateHolderEnded``, which changes no row of a table."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from securecore.events.emission import Event


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
    """A user, named by its principal, logged in or stepped up. ``certificate`` is the connection's thumbprint.

    ``device`` is the beginning of the User-Agent, at most 200 characters: the client's own words.
    """

    name = "securecore.sessions.session-opened"
    level = logging.INFO
    user: str
    certificate: str | None
    address: str
    device: str


@dataclass(frozen=True, kw_only=True)
class SessionClosed(Event):
    """A user's session was ended by a logout, or by code of the project that calls ``flush()`` or ``delete()`` of it.

    ``certificate`` is the thumbprint under which the session was opened, as are ``address`` and ``device``.
    """

    name = "securecore.sessions.session-closed"
    level = logging.INFO
    user: str
    certificate: str | None
    address: str
    device: str


@dataclass(frozen=True, kw_only=True)
class SessionEnded(Event):
    """One session was ended other than by its own logout: by an operator, by its user elsewhere, by the limit.

    ``session`` is the id that ``securecore_sessions list`` shows. Certificate, address and device are those under which
    the session was opened. ``user`` is empty for an anonymous session.
    """

    name = "securecore.sessions.session-ended"
    level = logging.INFO
    user: str
    session: str
    certificate: str | None
    address: str
    device: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SessionsEnded(Event):
    """All sessions of a user or of everyone were ended, or more than 100 of several users: an event for each user."""

    name = "securecore.sessions.sessions-ended"
    level = logging.INFO
    #: The user of these sessions, for example ``user:7``; ``everyone``; ``further users`` behind 100 users; empty for
    #: anonymous sessions.
    subject: str
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
class RefreshTokenReused(Event):
    """A replaced refresh token was presented: by a thief, or by the client after a thief had redeemed the token.

    The family was revoked.
    """

    name = "securecore.tokens.refresh-token-reused"
    family: str
    user: str
    client_id: str


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
class GateHolderEnded(Event):
    """A revocation of these principals waited too long, and ended the PostgreSQL session that held the gate."""

    name = "securecore.grants.gate-holder-ended"
    principals: tuple[str, ...]
    pid: int
