"""What a request presented, and who that makes its caller."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.functional import cached_property

from securecore import clock, database, identity, leases, tokens
from securecore.caches import BoundedCache
from securecore.caller import credential_table
from securecore.caller.query import Presented
from securecore.caller.snapshot import Registration, Snapshot, read
from securecore.caller.user_table import user_table
from securecore.conf import settings
from securecore.database.statements import is_djangos_own
from securecore.errors import InvalidToken
from securecore.grants import principals
from securecore.grants.query.effective import Held
from securecore.identity import ClientCertificate
from securecore.sessions import record_id
from securecore.sessions.statements import Found
from securecore.tokens import AccessToken, clients

#: What was read a moment ago, by the credentials of the request and the schemas that were searched; see ``leases``.
_leased: BoundedCache[Snapshot] = BoundedCache(
    size=lambda: settings.CALLER_CACHE_SIZE, seconds=leases.seconds, clock=leases.clock
)


class Access:
    """All that a request presented: nothing is read until something is asked for, and then all of it at once."""

    def __init__(
        self,
        now: dt.datetime,
        *,
        certificate: ClientCertificate | None = None,
        session_key: str | None = None,
        presented_token: str | None = None,
        token: AccessToken | None = None,
    ) -> None:
        self.certificate, self.session_key = certificate, session_key
        self._now, self._presented_token, self._token = now, presented_token, token
        #: User objects that were made while the database worked, each for the first credential that names its user.
        self._spare: dict[Any, Any] = {}
        #: The user object of each credential: what one credential may do, the user of another must not.
        self._users: dict[tuple[str, Any], Any] = {}
        #: Whether the answers may be those to another request, up to ``LEASE_MS`` ago.
        self.is_leased = False

    @property
    def token(self) -> AccessToken | None:
        """The token that was presented, or None if there was none or it is not good."""
        return self._judged if isinstance(self._judged, AccessToken) else None

    def good_token(self) -> AccessToken:
        """Return the token that was presented, whether it is revoked or not. Raises ``InvalidToken``."""
        if isinstance(self._judged, AccessToken):
            return self._judged
        raise self._judged

    @property
    def session(self) -> Found | None:
        """The session that was presented, if it is live; for whom it opens is for the engine to say."""
        return self._snapshot.session if self.session_key else None

    def fresh_session(self) -> tuple[Found | None, ...]:
        """Return the session, or that there is none; nothing if what we know is leased: it may have changed since."""
        found = self.session
        return () if self.is_leased else (found,)

    def user_of_certificate(self) -> Any | None:
        """Return the active user whose certificate this is, or None. Raises ``CertificateRevoked``, and
        ``CertificateNotVerified`` for one that neither an authority nor its enrolment vouches for.
        """
        if self.certificate is None:
            return None
        owner = identity.owner_of(self.certificate, self._snapshot.certificates.values())
        return self._active(credential_table.CERTIFICATE, owner)

    def certificate_is_nobodys(self) -> bool:
        """Say whether no enrolment of the certificate names a user, active or not."""
        return all(enrolled.user is None for enrolled in self._snapshot.certificates.values())

    def user_of_token(self) -> Any:
        """Return the active user that the token names. Raises ``InvalidToken`` if there is none, or if the token, its
        family, its client, its user's tokens, its signing key, or everything of its time was revoked.
        """
        self.good_token()
        user = self._active(credential_table.BEARER, self._snapshot.subject)
        if user is None:
            raise InvalidToken
        return user

    def service_of(self, token: Any) -> str | None:
        """Return the principal of the registered client that ``token`` was issued to; None for a token that was not
        presented here, and for a user who gets tokens by certificate, whose client id is its user name.
        """
        own = self.token
        if own is None or token is not own or not own.is_registered:
            return None
        return principals.service(own.client_id) if self._snapshot.client else None

    def token_ties(self) -> tuple[str, ...]:
        """Return the relations of the presented token to the certificate on the wire (see ``credential_table``)."""
        token, certificate, client = self.good_token(), self.certificate, self._snapshot.client
        if certificate is None:
            return ()
        ties = {
            credential_table.BOUND: token.binding == f"x5t#S256:{certificate.thumbprint}",
            credential_table.OBTAINED: token.certificate == certificate.thumbprint,
            credential_table.CLIENT: client is not None and self._proves(client),
        }
        return tuple(tie for tie, holds in ties.items() if holds)

    def user_of_session(self) -> Any | None:
        """Return the active user that the session's row names. Whether that user is logged in says the session."""
        return self._active(credential_table.SESSION, self.session.user_id) if self.session else None

    def hold(self, user: Any) -> None:
        """Let ``has_perm()`` of a user object that Django made for the session of this request count the grants and
        denials of the certificate on the wire too.
        """
        known = self.user_of_session()
        if known is not None and known.pk == user.pk:
            user.securecore_granted = known.securecore_granted
        else:
            user.securecore_names = self._certificate_names

    def renew(self) -> None:
        """Read again, whatever is leased: what is given out now must not outlive a revocation."""
        self._users, self._spare = {}, {}
        self._snapshot = read(self._presented, self._now, self._spare)
        self.is_leased = False

    @cached_property
    def _judged(self) -> AccessToken | InvalidToken:
        if self._token is not None or not self._presented_token:
            return self._token or InvalidToken()
        try:
            return tokens.verify(self._presented_token, now=self._now)
        except InvalidToken as refusal:
            return refusal

    @cached_property
    def _presented(self) -> Presented:
        return Presented(
            certificates=identity.identifiers(self.certificate) if self.certificate else None,
            session_id=record_id(self.session_key) if self.session_key else None,
            token=self.token,
        )

    @cached_property
    def _snapshot(self) -> Snapshot:
        # In a transaction we would read what may be rolled back, or what was there when it began.
        connection = database.connection()
        if not settings.LEASE_MS or connection.in_atomic_block or why_not_leased(connection):
            return read(self._presented, self._now, self._spare)
        name = self._presented, _search_path(connection)
        leased = _leased.get(name)
        if leased is not None:
            self.is_leased = True
            return leased
        began = leases.clock()
        snapshot = read(self._presented, self._now, self._spare)
        if snapshot.may_be_shared:
            # Twice if the read made the connection: the next request may come before or after one is made.
            for key in {name, (self._presented, _search_path(connection))}:
                _leased.put(key, snapshot, since=began)
        return snapshot

    @property
    def _certificate_names(self) -> tuple[str, ...]:
        return tuple(map(principals.certificate, self._presented.certificates or ()))

    def _proves(self, client: Registration) -> bool:
        """Whether the certificate on the wire authenticates this client (see ``clients.authenticate``)."""
        certificate = self.certificate
        if certificate is None:
            return False
        if client.certificate_name:
            named = clients.is_named(client.certificate_name, subject=certificate.subject, sans=certificate.sans)
            return certificate.is_verified and named
        return bool(identity.owner_of(certificate, self._snapshot.certificates.values()) == client.user)

    def _active(self, credential: str, key: Any) -> Any | None:
        """Return the active user with this key, as an object that may do what this credential lets it do."""
        snapshot, name = self._snapshot, (credential, key)
        if key not in snapshot.users:
            return None
        if name not in self._users:
            user = self._spare.pop(key, None) or snapshot.user(key)
            service = self.service_of(self.token) if credential == credential_table.BEARER else None
            names = (*self._certificate_names, *([service] if service else []))
            user.securecore_granted = Held(snapshot.granted[key], names)
            self._users[name] = user
        return self._users[name] if self._users[name].is_active else None


def why_not_leased(connection: BaseDatabaseWrapper) -> str:
    """Return the reason why no answer may serve two requests in this project, or an empty string.

    The key of a lease names the request's credentials. A tenant that a manager or a database backend chooses for each
    request is not in it.
    """
    table = user_table()
    if table.is_filtered:
        return f"{type(table.model._default_manager).__name__} may filter the users of each request"
    if not is_djangos_own(connection):
        return f"the database backend {type(connection).__module__} may switch to a schema of a tenant"
    return ""


def _search_path(connection: Any) -> str | None:
    """Return the schemas in which the next statement looks for tables. PostgreSQL 18 reports them with each change, so
    to ask costs no round trip; None says that it is older, or that the connection is yet to be made.
    """
    if connection.vendor != "postgresql" or connection.connection is None:
        return None
    reported: str | None = connection.connection.info.parameter_status("search_path")
    return reported


def user_of_certificate(certificate: ClientCertificate) -> Any | None:
    """Return the active user whose certificate this is; see ``Access.user_of_certificate``. Read now, never leased."""
    access = Access(clock.now(), certificate=certificate)
    access.renew()
    return access.user_of_certificate()


def user_of_token(token: AccessToken, *, now: dt.datetime, certificate: ClientCertificate | None = None) -> Any:
    """Return the active user that a verified token names, whoever presents it, under the ``certificate`` on the wire;
    see ``Access.user_of_token``. Read now, never leased.
    """
    access = Access(now, token=token, certificate=certificate)
    access.renew()
    return access.user_of_token()
