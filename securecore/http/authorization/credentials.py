"""Judge the credentials of a request, and choose the one that makes the request.

This module judges the token, the session and the certificate, and raises the refusal. The table in
``securecore.caller.credential_table`` says which credentials may be together. ``caller_of``, in the module
``caller`` beside this one, builds the caller from the choice.
"""

from __future__ import annotations

from collections.abc import Collection

from securecore import events
from securecore.caller import credential_table
from securecore.caller.credential_table import Choice, ProvenCredential
from securecore.errors import CredentialsConflict, InvalidDPoPProof, InvalidToken, UseDPoPNonce
from securecore.http.authorization.header import CHALLENGES, DPOP, authorization_of, challenged
from securecore.http.freshness.dpop import proof_for_token
from securecore.http.request import AnyUser, SecureRequest, User, certificate_of
from securecore.http.sessions.session_user import session_user, user_beside
from securecore.sessions import SessionStore
from securecore.texts import quoted_argument
from securecore.tokens import AccessToken, simplejwt

#: The credentials that a plain Django view takes. It has no authentication class that accepts a token.
_PLAIN = (credential_table.SESSION, credential_table.CERTIFICATE)


class TokenBoundElsewhere(Exception):
    """For operators: the token is good, and bound to another certificate or key than that of the request."""


class TokenEnded(Exception):
    """For operators: the token is well signed and in its time, and was revoked, or its user is not active."""


def user_by_bearer(request: SecureRequest) -> tuple[User, AccessToken]:
    """Return the user and the token of ``Authorization: Bearer``.

    Raises ``InvalidToken`` unless the token is good, not revoked, and bound to the client certificate (RFC 8705
    section 3).
    """
    token, certificate = request.credentials.good_token(), request.client_certificate
    # This also refuses a token under Bearer that is bound to a DPoP key (RFC 9449 section 7.2).
    if certificate is None or not token.is_bound_to_certificate(certificate.thumbprint):
        presented = "no certificate" if certificate is None else "the certificate of this request"
        raise InvalidToken from TokenBoundElsewhere(f"The token of {_named(token)} is not bound to {presented}.")
    return _user_of_token(request, token), token


def user_by_dpop(request: SecureRequest) -> tuple[User, AccessToken]:
    """Return the user and the token of ``Authorization: DPoP``.

    Raises ``InvalidToken``, ``InvalidDPoPProof`` or ``UseDPoPNonce`` unless the token is good, not revoked, and
    accompanied by a proof of its key (RFC 9449 section 7.1).
    """
    proof_for_token(request)
    token = request.credentials.good_token()
    return _user_of_token(request, token), token


def _user_of_token(request: SecureRequest, token: AccessToken) -> User:
    """Return the user of a token that was verified. Raises ``InvalidToken`` with a cause for operators."""
    try:
        user: User = request.credentials.user_of_token()
    except InvalidToken as refusal:
        ended = (
            f"The token of {_named(token)}, issued at {token.issued_at.isoformat()}, is revoked, or its authorization, "
            "client, user, signing key or time; or its user is not active."
        )
        raise refusal from TokenEnded(ended)
    return user


def _named(token: AccessToken) -> str:
    family = f", authorization {token.family_id}" if token.family_id else ""
    return f"user:{token.subject}, client {quoted_argument(token.client_id)}{family}"


def accepted_token(request: SecureRequest, user: AnyUser, token: object) -> ProvenCredential:
    """Return the credential of a token that an authentication class accepted for ``user``.

    ``token`` is ``request.auth``: an ``AccessToken``, or a value of another package's class.
    """
    if not isinstance(token, AccessToken) or token.issuer == simplejwt.ISSUER:
        return ProvenCredential.of(credential_table.OTHER, user)
    kind = credential_table.DPOP if token.binding.startswith("jkt:") else credential_table.BEARER
    return ProvenCredential.of(kind, user, *request.credentials.token_ties())


def own_token(request: SecureRequest) -> ProvenCredential | None:
    """Return the proven credential of securecore's own token in the Authorization header of a Django request, or None.

    Raises ``InvalidToken``, ``InvalidDPoPProof`` and ``UseDPoPNonce`` with a challenge.
    """
    header = authorization_of(request)
    if not header.holds_own_token:
        return None
    try:
        user, token = user_by_dpop(request) if header.scheme == DPOP else user_by_bearer(request)
    except (InvalidToken, InvalidDPoPProof, UseDPoPNonce) as refusal:
        challenged(refusal, header.scheme)
        raise
    return accepted_token(request, user, token)


def choose(
    request: SecureRequest,
    token: ProvenCredential | None = None,
    *,
    session: AnyUser | None = None,
    takes: Collection[str] = credential_table.EVERY_KIND,
) -> Choice:
    """Choose the credential that makes a Django request, in a view that ``takes`` these kinds.

    ``token`` is an accepted token, ``session`` the user of an opened session. Raises ``CredentialsConflict`` (401) for
    credentials that must not be in one request.
    """
    session = session or user_beside(request)
    # securecore's session engine opens a session only under the certificate that the session is bound to.
    ties = (credential_table.BOUND,) if session is not None and _is_bound_session(request) else ()
    logged_in = None if session is None else ProvenCredential.of(credential_table.SESSION, session, *ties)
    choice = credential_table.choose((token, logged_in, _certificate(request)), takes)
    if choice.conflict is not None:
        _emit_conflict(request, choice.conflict, token, logged_in)
        refusal, scheme = CredentialsConflict(), authorization_of(request).scheme
        raise challenged(refusal, scheme, "invalid_token") if token and scheme in CHALLENGES else refusal
    return choice


def user_of_plain_view(request: SecureRequest) -> AnyUser:
    """Return ``request.user`` of a plain Django view: the session's user.

    Raises ``InvalidToken`` if securecore's access token in the Authorization header is not good, and
    ``CredentialsConflict`` if it belongs to another user. A token of another package is ignored here.
    """
    user: AnyUser = session_user(request)
    token = own_token(request)
    if token is not None or not _is_bound_session(request):
        choose(request, token, session=user if user.is_authenticated else None, takes=_PLAIN)
    return user


def _is_bound_session(request: SecureRequest) -> bool:
    return isinstance(getattr(request, "session", None), SessionStore)


def _certificate(request: SecureRequest) -> ProvenCredential | None:
    if certificate_of(request) is None:
        return None
    is_nobodys = request.credentials.certificate_is_nobodys()
    return ProvenCredential.of(credential_table.CERTIFICATE, request.certificate_user, is_nobodys=is_nobodys)


def _emit_conflict(
    request: SecureRequest, conflict: tuple[str, str], token: ProvenCredential | None, session: ProvenCredential | None
) -> None:
    certificate = request.client_certificate
    events.emit(
        events.CredentialsConflicting(
            credentials=conflict,
            token_user=token.user if token else None,
            session_user=session.user if session else None,
            thumbprint=certificate.thumbprint if certificate else None,
        )
    )
