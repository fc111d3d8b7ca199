"""``PresentedCredentials``: the credentials of one request, and the user that each of them names.

``credential_table`` decides which of these users is the caller. The SQL is in ``query``.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.utils.functional import cached_property

from securecore import clock, identity, tokens
from securecore.caller import credential_table, leased_snapshots
from securecore.caller.query import CertificateLookup, Lookup
from securecore.caller.snapshot import Snapshot, read
from securecore.errors import CertificateRevoked, InvalidToken, LockedOut, RevocationListExpired
from securecore.grants import principals
from securecore.grants.query.effective import Granted
from securecore.identity import ClientCertificate
from securecore.sessions import record_id
from securecore.sessions.statements import SessionRow
from securecore.tokens import AccessToken, clients
from securecore.tokens.statements import Registration

#: The word by which the counts tell a listed certificate from one that an operator of this service revoked.
ON_LIST = "on-a-revocation-list"


class LockoutInForce(Exception):
    """For operators: the subject of the lockout for which a request is refused, or several of which one is locked out.

    ``kind`` is the word for the counts: ``user-locked-out``, ``client-locked-out``, ``everyone-locked-out``.
    """

    def __init__(self, *subjects: str) -> None:
        if len(subjects) == 1:
            kind = subjects[0].partition(":")[0].replace("service", "client")
            super().__init__(f"The lockout of {subjects[0]} is in force.")
        else:
            kind = "caller"
            super().__init__(f"One of these is locked out: {', '.join(subjects)}.")
        self.kind = f"{kind}-locked-out"


class OnRevocationList(Exception):
    """For operators: the certificate's authority has revoked it; no operator of this service has."""

    kind = ON_LIST


class PresentedCredentials:
    """The credentials that a request presents. The first use of a row runs the one query, which reads all rows.

    The first use raises ``LockedOut`` (403) if a user, client or certificate of the request or the certificate's issuer
    is locked out, ``CertificateRevoked`` if a revocation list names the certificate, and ``RevocationListExpired``
    (503). A request with such a credential is refused as a whole, whichever credential makes it.
    """

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
        #: One user object for each credential, since the permissions of one credential must not reach another.
        self._users: dict[tuple[str, Any], Any] = {}
        #: Whether the rows were read for another request, up to ``LEASE_MS`` ago.
        self.is_leased = False
        #: The rows of the one query once they are read, also if they refuse the request.
        self._read_rows: Snapshot | None = None

    @property
    def token(self) -> AccessToken | None:
        """Return the presented token, or None without one or if its signature, dates or names are not good."""
        return self._judged if isinstance(self._judged, AccessToken) else None

    def good_token(self) -> AccessToken:
        """Return the presented token, revoked or not. Raises ``InvalidToken`` where ``token`` is None."""
        if isinstance(self._judged, AccessToken):
            return self._judged
        raise self._judged

    @property
    def session(self) -> SessionRow | None:
        """Return the row of the presented session if the session is live. The session engine judges the binding."""
        return self._snapshot.session if self.session_key else None

    def fresh_session(self) -> tuple[SessionRow | None, ...]:
        """Return a tuple of the session's row, or of None without a session.

        The tuple is empty if the snapshot is leased, since the row may have changed since it was read.
        """
        row = self.session
        return () if self.is_leased else (row,)

    def user_of_certificate(self) -> Any | None:
        """Return the certificate's user if active, or None.

        Raises ``CertificateRevoked``, and ``CertificateNotVerified`` for a certificate that no authority has signed and
        that is not enrolled as self-signed.
        """
        if self.certificate is None:
            return None
        owner = identity.owner_of(self.certificate, self._snapshot.certificates.values())
        return self._active(credential_table.CERTIFICATE, owner)

    def user_for_operators(self) -> str | None:
        """Return the principal of the certificate's user, also if revoked, locked out or inactive; else the user that
        is locked out. None before the rows are read, and if they name no user. Runs no statement.

        It authorizes nothing: the report of a refusal has it, so that an operator sees the user.
        """
        if self._read_rows is None:
            return None
        key = identity.named_user(self.certificate, self._read_rows.certificates.values()) if self.certificate else None
        if key in self._read_rows.users:
            return principals.principal_of(self._read_rows.user(key))
        refused = self._read_rows.refused or ""
        return refused if refused.startswith("user:") else None

    def token_for_operators(self) -> AccessToken | None:
        """Return the presented token if it was judged already and is good, revoked or not. Runs no statement."""
        judged = self.__dict__.get("_judged")
        return judged if isinstance(judged, AccessToken) else None

    def certificate_is_nobodys(self) -> bool:
        """Say whether no enrolment of the certificate names a user, active or not."""
        return all(enrolled.user is None for enrolled in self._snapshot.certificates.values())

    def user_of_token(self) -> Any:
        """Return the active user that the token names.

        Raises ``InvalidToken`` without such a user, and if the token, its family, its client, its user's tokens, its
        signing key or every token of its time was revoked.
        """
        self.good_token()
        user = self._active(credential_table.BEARER, self._snapshot.subject)
        if user is None:
            raise InvalidToken
        return user

    def service_of(self, token: Any) -> str | None:
        """Return the principal of the registered client of ``token``, or None.

        None stands for a token that this request did not present, and for the token of a user that gets tokens by
        certificate: there the client id is the user name.
        """
        own = self.token
        if own is None or token is not own or not own.is_registered:
            return None
        return principals.service(own.client_id) if self._snapshot.client else None

    def token_ties(self) -> tuple[str, ...]:
        """Return the relations of the presented token to the client certificate (see ``credential_table``)."""
        token, certificate, client = self.good_token(), self.certificate, self._snapshot.client
        if certificate is None:
            return ()
        ties = {
            credential_table.BOUND: token.is_bound_to_certificate(certificate.thumbprint),
            credential_table.OBTAINED: token.certificate == certificate.thumbprint,
            credential_table.CLIENT: client is not None and self._proves(client),
        }
        return tuple(tie for tie, holds in ties.items() if holds)

    def user_of_session(self) -> Any | None:
        """Return the active user that the session's row names, or None.

        The contents of the session decide whether that user is logged in.
        """
        return self._active(credential_table.SESSION, self.session.user_id) if self.session else None

    def hold(self, user: Any) -> None:
        """Let ``user.has_perm()`` count the grants and denials of the client certificate too.

        ``user`` is an object that Django built for the session of this request.
        """
        ours = self.user_of_session()
        if ours is not None and ours.pk == user.pk:
            user.securecore_granted = ours.securecore_granted
        else:
            user.securecore_names = self._certificate_names

    def renew(self) -> None:
        """Run the one query again, and use no lease: a token issued now must not outlive a revocation."""
        self._users = {}
        self._read_rows = read(self._lookup, self._now)
        self._snapshot = _not_refused(self._read_rows)
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
    def _lookup(self) -> Lookup:
        return Lookup(
            certificate=CertificateLookup.of(self.certificate) if self.certificate else None,
            session_id=record_id(self.session_key) if self.session_key else None,
            token=self.token,
        )

    @cached_property
    def _snapshot(self) -> Snapshot:
        self._read_rows, self.is_leased = leased_snapshots.read_or_lease(self._lookup, self._now)
        return _not_refused(self._read_rows)

    @property
    def _certificate_names(self) -> tuple[str, ...]:
        presented = self._lookup.certificate
        return tuple(map(principals.certificate, presented.identifiers)) if presented else ()

    def _proves(self, client: Registration) -> bool:
        """Say whether the client certificate authenticates this client (see ``clients.authenticate``)."""
        certificate = self.certificate
        if certificate is None:
            return False
        if client.certificate_name:
            named = clients.is_named(client.certificate_name, subject=certificate.subject, sans=certificate.sans)
            return certificate.is_verified and named
        return bool(identity.owner_of(certificate, self._snapshot.certificates.values()) == client.user)

    def _active(self, credential: str, key: Any) -> Any | None:
        """Return the active user with this key, as an object with the grants of this credential."""
        snapshot, name = self._snapshot, (credential, key)
        if key not in snapshot.users:
            return None
        if name not in self._users:
            user = snapshot.user(key)
            service = self.service_of(self.token) if credential == credential_table.BEARER else None
            names = (*self._certificate_names, *([service] if service else []))
            user.securecore_granted = Granted(snapshot.granted[key], names)
            self._users[name] = user
        return self._users[name] if self._users[name].is_active else None


def _not_refused(snapshot: Snapshot) -> Snapshot:
    """Return ``snapshot``. Raises the refusal of a request with these credentials."""
    if snapshot.refused is None:
        return snapshot
    if snapshot.refused == CertificateRevoked.code:
        raise CertificateRevoked from OnRevocationList("A revocation list names the certificate.")
    if snapshot.refused == RevocationListExpired.code:
        raise RevocationListExpired
    raise LockedOut from LockoutInForce(snapshot.refused)


def user_of_certificate(certificate: ClientCertificate) -> Any | None:
    """Query the certificate's user without a lease; see ``PresentedCredentials.user_of_certificate``."""
    credentials = PresentedCredentials(clock.now(), certificate=certificate)
    credentials.renew()
    return credentials.user_of_certificate()


def user_of_token(token: AccessToken, *, now: dt.datetime, certificate: ClientCertificate | None = None) -> Any:
    """Query the active user that a verified token names, without a lease; see ``PresentedCredentials.user_of_token``.

    No request need have presented the token. ``certificate`` is the client certificate, if there is one.
    """
    credentials = PresentedCredentials(now, token=token, certificate=certificate)
    credentials.renew()
    return credentials.user_of_token()
