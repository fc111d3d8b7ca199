"""Decide the caller of a request (``caller_of``), and which nonces and signatures are the caller's own.

``credentials`` judges each credential and chooses the one that makes the request. This module builds the caller.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request

from securecore import digests, identity
from securecore.caller import Caller
from securecore.caller.credential_table import Choice
from securecore.errors import AuthenticationRequired, Misuse
from securecore.grants import principal_of, principals
from securecore.http.authorization.credentials import accepted_token, choose, own_token
from securecore.http.authorization.header import authorization_of
from securecore.http.request import (
    AnyRequest,
    SecureRequest,
    User,
    certificate_of,
    credentials_of,
    django_request,
    identified,
    state_of,
)
from securecore.identity import ClientCertificate
from securecore.sessions import SessionStore, record_id
from securecore.tokens import AccessToken


def caller_of(request: AnyRequest) -> Caller:
    """Return the caller of a Django or REST framework request, with the credential that authenticated it.

    The principals are those of the user, of the client certificate, and of the registered client of the access token
    that authenticated the request. A certificate that is enrolled for nobody acts by itself in a plain Django view
    only: in a REST framework view some class must accept the caller, and no class accepts such a certificate.

    Raises ``AuthenticationRequired`` (401) for a request without a caller, and ``CredentialsConflict`` if a class of
    another package authenticated one user and the certificate or session belongs to another user.
    """
    of_django = django_request(request)
    user, certificates = _user(request, of_django), _certificates(of_django)
    if user is None and not (certificates and not isinstance(request, Request)):
        raise AuthenticationRequired
    accepted: Any = getattr(request, "auth", None)
    is_by_token = isinstance(accepted, AccessToken)
    service = of_django.credentials.service_of(accepted) if is_by_token else None
    name = None if user is None else principal_of(user)
    return Caller(
        principals=tuple(filter(None, (name, service, *certificates))),
        user=name,
        token=accepted if is_by_token else _token_of_plain_view(request),
        session=None if is_by_token else _session(request),
        signature_keyid=state_of(of_django).signature_keyid,
        certificate=certificate_of(of_django),
    )


def choice_of(request: AnyRequest) -> Choice:
    """Choose the credential that makes the request, of all that the request presents.

    The view's classes authenticate a REST framework request. For a Django request, for example under ``@fresh`` on
    ``dispatch``, a token counts too, because a class of the view may accept the token later. Raises ``InvalidToken``
    and ``CredentialsConflict``.
    """
    of_django = django_request(request)
    if not isinstance(request, Request):
        return choose(of_django, own_token(of_django))
    token = None
    is_by_token = not _is_by_session_class(request) and not isinstance(request.auth, ClientCertificate)
    if request.user.is_authenticated and is_by_token:
        token = accepted_token(of_django, request.user, request.auth)
    return choose(of_django, token)


def nonce_scope(request: AnyRequest) -> str:
    """Return the name under which this caller's nonces are unique.

    The name is the certificate only if the caller cannot act without the key of that certificate. Otherwise an attacker
    with a stolen token could repeat the user's request under another certificate, under which the nonce would be new.
    """
    of_django = django_request(request)
    if _holds_unjudged_token(request, of_django):
        return f"token:{digests.record_id('nonce scope', authorization_of(of_django).value)}"
    choice, certificate = choice_of(request), of_django.client_certificate
    if certificate is not None and choice.certificate_vouches:
        return f"x5t#S256:{certificate.thumbprint}"
    return choice.credential.user or "anonymous" if choice.credential else "anonymous"


def is_signed_by_certificate(request: AnyRequest) -> bool:
    """Return whether a signature by the key of the request's client certificate is a signature of the caller."""
    of_django = django_request(request)
    choice = choice_of(request)
    if _holds_unjudged_token(request, of_django) and of_django.credentials.certificate_is_nobodys():
        return False  # if a class of the view accepts the token, the token's user is the caller
    return choice.certificate_is_the_callers


def certificate_user_now(request: SecureRequest) -> User | None:
    """Return ``request.certificate_user``, read from the database again if it comes from a lease.

    Use this function in a view that issues a session or a token, which lives longer than the request. Returns None if
    ``ClientCertificateMiddleware`` has not run. Raises ``CertificateRevoked``.
    """
    credentials = credentials_of(request)
    if credentials is None:
        return None
    if credentials.is_leased:
        credentials.renew()
        request.certificate_user = credentials.user_of_certificate()
    return request.certificate_user


def _user(request: AnyRequest, of_django: SecureRequest) -> User | None:
    """Return the active user that the request acts as, or None.

    In a plain Django view the user comes from the session, or else from the certificate. In a REST framework view the
    view's authentication classes decide.
    """
    user: Any = getattr(request, "user", None)
    if user is None and not isinstance(request, Request):
        raise Misuse(
            "The request has no user: put 'securecore.http.middleware.AuthenticationMiddleware' into MIDDLEWARE."
        )
    if not isinstance(request, Request):
        user = user if user.is_authenticated else identified(of_django).certificate_user
    elif user is not None and user.is_authenticated:
        choice_of(request)  # for its refusals
    return user if user is not None and user.is_authenticated else None


def _certificates(request: SecureRequest) -> tuple[str, ...]:
    presented = certificate_of(request)
    return tuple(map(principals.certificate, identity.identifiers(presented))) if presented else ()


def _token_of_plain_view(request: AnyRequest) -> AccessToken | None:
    """Return the access token of a Django request, which a class of the view may accept behind the gate."""
    if isinstance(request, Request):
        return None
    credentials = credentials_of(request)
    return credentials.token if credentials is not None else None


def _session(request: AnyRequest) -> tuple[UUID, Any] | None:
    """Return the record id and the user's key of the session, if the session authenticated the request."""
    session = getattr(request, "session", None)
    if not isinstance(session, SessionStore):
        return None
    # In a plain Django view only the session sets request.user.
    is_by_session = _is_by_session_class(request) if isinstance(request, Request) else request.user.is_authenticated
    return (record_id(session.session_key or ""), request.user.pk) if is_by_session else None


def _is_by_session_class(request: Request) -> bool:
    return isinstance(request.successful_authenticator, SessionAuthentication)


def _holds_unjudged_token(request: AnyRequest, of_django: SecureRequest) -> bool:
    """Say whether a Django request presents another package's token, which no authentication class has judged yet."""
    return not isinstance(request, Request) and authorization_of(of_django).holds_foreign_token
