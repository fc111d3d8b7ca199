"""Collect the credentials of a request, and find its one caller by the table of ``caller.credential_table``.

The table decides which credentials may stand in one request. This module reads the headers, the session and the
certificate, judges the token, and raises the refusal.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request

from securecore import events, tokens
from securecore.caller import credential_table
from securecore.caller.credential_table import Credential, Decision
from securecore.errors import CredentialsConflict, InvalidDPoPProof, InvalidToken, Refused, UseDPoPNonce
from securecore.http.freshness.dpop import proof_for_token
from securecore.http.sessions.session_user import session_user, user_beside
from securecore.identity import ClientCertificate
from securecore.replay import DPOP_ALGORITHMS
from securecore.sessions import SessionStore
from securecore.tokens import AccessToken, simplejwt

#: The schemes of access tokens, with their challenges (RFC 6750 section 3, RFC 9449 section 7.1).
CHALLENGES = {"bearer": 'Bearer realm="api"', "dpop": f'DPoP realm="api", algs="{" ".join(DPOP_ALGORITHMS)}"'}

_SCHEME = re.compile(r"[\w!#$%&'*+.^`|~-]*", re.ASCII)  # a token of RFC 9110 section 5.6.2


def authorization(request: Any) -> tuple[str, str]:
    """Return the scheme of the Authorization header in lower case, and the rest of the header.

    If a character other than a blank ends the scheme, as in ``Bearer:``, the rest is empty, and the header is refused
    like a bad token.
    """
    scheme, _, rest = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    name = _SCHEME.match(scheme)[0]  # type: ignore[index]  # the pattern also matches an empty string
    return name.lower(), rest.strip() if name == scheme else ""


def presented_token(request: Any) -> str | None:
    """Return the access token of the Authorization header. A token elsewhere is ignored (RFC 6750 section 2.1)."""
    scheme, presented = authorization(request)
    return presented if scheme in CHALLENGES else None


def challenged(refusal: Refused, scheme: str, error: str = "") -> Refused:
    """Return ``refusal`` as a 401 with the challenge of ``scheme``."""
    refusal.status = 401  # type: ignore[misc]  # the token endpoint answers 400 (RFC 9449 sections 5 and 7.1)
    error = error or refusal.code.replace("-", "_")
    refusal.headers["WWW-Authenticate"] = f'{CHALLENGES[scheme]}, error="{error}"'
    return refusal


def user_by_bearer(request: Any) -> tuple[Any, AccessToken]:
    """Return the user and the token of ``Authorization: Bearer``.

    Raises ``InvalidToken`` unless the token is good, not revoked, and bound to the client certificate (RFC 8705
    section 3).
    """
    token, certificate = request.access.good_token(), request.client_certificate
    # This comparison also refuses a token under Bearer that is bound to a DPoP key (RFC 9449 section 7.2).
    if certificate is None or not _is_bound(token, f"x5t#S256:{certificate.thumbprint}"):
        raise InvalidToken
    return request.access.user_of_token(), token


def user_by_dpop(request: Any) -> tuple[Any, AccessToken]:
    """Return the user and the token of ``Authorization: DPoP``.

    Raises ``InvalidToken``, ``InvalidDPoPProof`` or ``UseDPoPNonce`` unless the token is good, not revoked, and
    accompanied by a proof of its key (RFC 9449 section 7.1).
    """
    proof_for_token(request)
    return request.access.user_of_token(), request.access.good_token()


def _is_bound(token: AccessToken, proven: str) -> bool:
    # A plain comparison: a thumbprint is no secret, so the duration reveals nothing. The token's binding may be any
    # string, also one with lone surrogates, for which hmac.compare_digest would raise TypeError.
    return token.binding == proven


def token_credential(request: Any, user: Any, token: Any) -> Credential:
    """Return the credential of an accepted token: securecore's access token, or another package's ``request.auth``."""
    if not isinstance(token, AccessToken) or token.issuer == simplejwt.ISSUER:
        return Credential.of(credential_table.OTHER, user)
    kind = credential_table.DPOP if token.binding.startswith("jkt:") else credential_table.BEARER
    return Credential.of(kind, user, *request.access.token_ties())


def one_caller(
    request: Any,
    token: Credential | None = None,
    *,
    session: Any = None,
    takes: Collection[str] = credential_table.EVERY_KIND,
) -> Decision:
    """Return the decision that names the caller of the request.

    ``request`` is Django's request, ``token`` is an accepted token, ``session`` is the user of an opened session.
    Raises ``CredentialsConflict`` (401) for credentials that must not stand in one request.
    """
    session = session or user_beside(request)
    # securecore's session engine opens a session only under the certificate that the session is bound to.
    ties = (credential_table.BOUND,) if _is_bound_session(request) else ()
    logged_in = None if session is None else Credential.of(credential_table.SESSION, session, *ties)
    decision = credential_table.decide((token, logged_in, _certificate(request)), takes)
    if decision.conflict is not None:
        _emit_conflict(request, decision.conflict, token, logged_in)
        refusal = CredentialsConflict()
        scheme, _ = authorization(request)
        raise challenged(refusal, scheme, "invalid_token") if token and scheme in CHALLENGES else refusal
    return decision


def user_of_plain_view(request: Any) -> Any:
    """Return ``request.user`` of a plain Django view: the session's user.

    Raises ``InvalidToken`` if securecore's access token in the Authorization header is not good, and
    ``CredentialsConflict`` if it belongs to another user. A token of another package is ignored here.
    """
    user = session_user(request)
    token = _judged_token(request)
    if token is not None or not _is_bound_session(request):
        one_caller(request, token, session=user if user.is_authenticated else None, takes=_PLAIN)
    return user


#: A plain Django view has no authentication class that accepts a token.
_PLAIN = (credential_table.SESSION, credential_table.CERTIFICATE)


def caller_of(request: Any) -> Decision:
    """Return the decision that names the caller of the request, by any credential.

    The view's classes authenticate a REST framework request. For a Django request, for example under ``@fresh`` on
    ``dispatch``, a token counts too, because a class of the view may accept the token later. Raises ``InvalidToken``
    and ``CredentialsConflict``.
    """
    if not isinstance(request, Request):
        return one_caller(request, _judged_token(request))
    token = None
    is_by_session = isinstance(request.successful_authenticator, SessionAuthentication)
    if request.user.is_authenticated and not is_by_session and not isinstance(request.auth, ClientCertificate):
        token = token_credential(request, request.user, request.auth)
    return one_caller(request._request, token)


def foreign_token(request: Any) -> str | None:
    """Return the Bearer token of a Django request if another package issued the token; else None."""
    scheme, presented = authorization(request)
    is_foreign = not isinstance(request, Request) and scheme == "bearer" and not tokens.is_our_type(presented)
    return presented if is_foreign else None


def _judged_token(request: Any) -> Credential | None:
    """Return the credential of securecore's own token in the Authorization header, or None.

    Each token under the scheme DPoP counts as securecore's own. Raises ``InvalidToken``, ``InvalidDPoPProof`` and
    ``UseDPoPNonce`` with a challenge.
    """
    scheme, presented = authorization(request)
    if scheme not in CHALLENGES or (scheme == "bearer" and not tokens.is_our_type(presented)):
        return None
    try:
        user, token = user_by_dpop(request) if scheme == "dpop" else user_by_bearer(request)
    except (InvalidToken, InvalidDPoPProof, UseDPoPNonce) as refusal:
        challenged(refusal, scheme)
        raise
    return token_credential(request, user, token)


def _is_bound_session(request: Any) -> bool:
    return isinstance(getattr(request, "session", None), SessionStore)


def _certificate(request: Any) -> Credential | None:
    if getattr(request, "client_certificate", None) is None:
        return None
    is_nobodys = request.access.certificate_is_nobodys()
    return Credential.of(credential_table.CERTIFICATE, request.certificate_user, is_nobodys=is_nobodys)


def _emit_conflict(
    request: Any, conflict: tuple[str, str], token: Credential | None, session: Credential | None
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
