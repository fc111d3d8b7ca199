"""REST framework authentication by certificate, by access token and by session, one class for each scheme.

The order of a view's classes does not choose the caller. If one class accepts the Authorization header, each class that
does not accept the header returns None, wherever the accepting class stands in the list. See docs/callers.md.
``http.authorization.credentials`` judges the credentials.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

from rest_framework.authentication import BaseAuthentication
from rest_framework.authentication import SessionAuthentication as RestSessionAuthentication
from rest_framework.request import Request

from securecore import clock, events
from securecore.caller import credential_table, user_of_token
from securecore.errors import (
    CertificateUnknown,
    InvalidDPoPProof,
    InvalidToken,
    Misuse,
    SessionRefused,
    UseDPoPNonce,
)
from securecore.grants import principal_of
from securecore.http.authorization.credentials import accepted_token, choose, user_by_bearer, user_by_dpop
from securecore.http.authorization.header import (
    BEARER,
    CHALLENGES,
    DPOP,
    AuthorizationHeader,
    authorization_of,
    challenged,
)
from securecore.http.request import AnyUser, SecureRequest, django_request, identified
from securecore.identity import ClientCertificate
from securecore.tokens import AccessToken, simplejwt


class OwnAuthentication(BaseAuthentication):
    """The base of securecore's authentication classes: a 401 with the challenges of all classes of the view."""

    def authenticate_header(self, request: Request) -> str | None:
        """Return the challenges of all classes of the view (RFC 9110 section 11.6.1), or None if no class has one.

        REST framework calls this method of the first class only.
        """
        challenges = [
            getattr(authenticator, "challenge", None)
            if isinstance(authenticator, OwnAuthentication)
            else authenticator.authenticate_header(request)
            for authenticator in _classes(request)
        ]
        return ", ".join(dict.fromkeys(filter(None, challenges))) or None


class CertificateAuthentication(OwnAuthentication):
    """Authenticate the certificate's user; ``request.auth`` is the ``ClientCertificate``.

    This class returns None if another class of the view accepts the Authorization header. It also returns None if the
    request's session, opened under this certificate, belongs to another user and the view has a session class; then
    the session class authenticates that user.
    """

    def authenticate(self, request: Request) -> tuple[AnyUser, ClientCertificate] | None:
        of_django = django_request(request)
        if _another_class_accepts(request, authorization_of(of_django), self):
            return None
        certificate, user = identified(of_django).client_certificate, of_django.certificate_user
        if certificate is None:
            return None
        takes_sessions = any(isinstance(each, RestSessionAuthentication) for each in _classes(request))
        takes = (
            (credential_table.SESSION, credential_table.CERTIFICATE)
            if takes_sessions
            else (credential_table.CERTIFICATE,)
        )
        chosen = choose(of_django, takes=takes).credential
        is_by_session = chosen is not None and chosen.kind == credential_table.SESSION
        if chosen is not None and is_by_session and (user is None or chosen.user != principal_of(user)):
            return None
        if user is None:
            raise CertificateUnknown
        return user, certificate


class TokenAuthentication(OwnAuthentication, ABC):
    """The base of the classes that authenticate by an access token.

    The token is taken from the Authorization header only (RFC 6750 section 2.1). ``request.auth`` is the
    ``AccessToken``. Each reason for a refusal gives the same response. Raises ``Misuse`` if a view names this base.
    """

    scheme: ClassVar[str]
    challenge: ClassVar[str]
    #: If a view has two classes for one scheme, the class with True accepts the tokens with the type ``at+jwt``, and
    #: the class with False accepts all other tokens.
    takes_our_own: ClassVar[bool] = True

    def __new__(cls) -> Self:
        if cls is TokenAuthentication:
            raise Misuse(
                "TokenAuthentication is a base class. Write AccessTokenAuthentication (Authorization: Bearer), "
                "DPoPAuthentication (Authorization: DPoP) or SimpleJWTAuthentication in authentication_classes."
            )
        return super().__new__(cls)

    def authenticate(self, request: Request) -> tuple[AnyUser, AccessToken] | None:
        of_django = django_request(request)
        header = authorization_of(of_django)
        if not self.takes(request, header):
            _another_class_accepts(request, header, self)
            return None
        try:
            user, token = self._identify(identified(of_django))
        except (InvalidToken, InvalidDPoPProof, UseDPoPNonce) as refusal:
            challenged(refusal, self.scheme.lower())
            if self.takes_our_own and header.holds_foreign_token:
                refusal.__cause__ = _FOREIGN
            raise
        choose(of_django, accepted_token(of_django, user, token))
        return user, token

    def takes(self, request: Request, header: AuthorizationHeader) -> bool:
        """Return whether this class judges the Authorization header of ``request``.

        The scheme must be the class's own. If the view has two classes for the scheme, the type of the token decides.
        """
        if header.scheme != self.scheme.lower():
            return False
        for each in _classes(request):
            if each is self or isinstance(each, (CertificateAuthentication, RestSessionAuthentication)):
                continue
            if isinstance(each, TokenAuthentication):
                if each.scheme != self.scheme or each.takes_our_own is self.takes_our_own:
                    continue
                return header.is_our_type is self.takes_our_own
            if not header.is_our_type and _authenticates(each, request):
                return False
        return True

    @staticmethod
    @abstractmethod
    def _identify(request: SecureRequest) -> tuple[AnyUser, AccessToken]:
        """Return the user and the token of the Authorization header. Raises the refusals of a token."""


class AccessTokenAuthentication(TokenAuthentication):
    """Authenticate by ``Authorization: Bearer`` with a token bound to the client certificate (RFC 8705 section 3)."""

    scheme = "Bearer"
    challenge = CHALLENGES[BEARER]
    _identify = staticmethod(user_by_bearer)


class DPoPAuthentication(TokenAuthentication):
    """Authenticate by ``Authorization: DPoP`` with a proof of the token's key (RFC 9449 section 7.1)."""

    scheme = "DPoP"
    challenge = CHALLENGES[DPOP]
    _identify = staticmethod(user_by_dpop)


class SimpleJWTAuthentication(TokenAuthentication):
    """Authenticate by ``Authorization: Bearer`` with a token of djangorestframework-simplejwt, during a migration.

    The project's ``SIMPLE_JWT`` settings decide which tokens are refused. Such a token is bound to no key, but it can
    be revoked: pass ``request.auth`` to ``revoke_token``, or the token's user to ``revoke_user_tokens``. If the view
    also has ``AccessTokenAuthentication``, that class accepts the tokens with the type ``at+jwt``, and this class
    accepts the others.
    """

    scheme = "Bearer"
    challenge = CHALLENGES[BEARER]
    takes_our_own = False

    def authenticate(self, request: Request) -> tuple[AnyUser, AccessToken] | None:
        accepted = super().authenticate(request)
        if accepted is not None:
            user, token = accepted
            events.emit(events.SimpleJWTAccepted(path=request.path, user=principal_of(user), jti=token.jti))
        return accepted

    @staticmethod
    def _identify(request: SecureRequest) -> tuple[AnyUser, AccessToken]:
        now = clock.now()
        verified = simplejwt.verify_all(authorization_of(request).value, now=now)
        user = user_of_token(verified.token, now=now, certificate=request.client_certificate)
        verified.require_user(user)
        return user, verified.token


class SessionAuthentication(OwnAuthentication, RestSessionAuthentication):
    """REST framework's ``SessionAuthentication`` with its CSRF protection, and a 401 for a refused session.

    If a view accepts only sessions, a session that is bound to another certificate is a 401. In other views this class
    returns None for such a session, and another class may authenticate the request.
    """

    def authenticate(self, request: Request) -> Any:
        if _another_class_accepts(request, authorization_of(django_request(request)), self):
            return None
        authenticated = RestSessionAuthentication.authenticate(self, request)
        if authenticated is not None or not getattr(request.session, "is_refused", False):
            return authenticated
        if all(isinstance(each, RestSessionAuthentication) for each in _classes(request)):
            raise SessionRefused
        return None


#: The reason in the event, for example after a move from another package. The response does not have it.
_FOREIGN = ValueError("securecore did not issue this token, and no class of the view accepts it")
#: Classes that accept no Authorization header, and the class that ``takes()`` has judged already.
_NOT_BY_HEADER = (TokenAuthentication, CertificateAuthentication, RestSessionAuthentication)


def _classes(request: Request) -> list[BaseAuthentication]:
    """Return the authentication classes of the view, as the instances that this request has."""
    return list(request.authenticators or ())  # type: ignore[arg-type]  # only REST framework's tests force others


def _another_class_accepts(request: Request, header: AuthorizationHeader, current: BaseAuthentication) -> bool:
    """Return whether another class of the view than ``current`` accepts the Authorization header.

    Raises ``InvalidToken`` (401) for a Bearer or DPoP token that no class accepts. A header of another scheme that no
    class accepts is no credential, for example ``Basic`` for a proxy in front of a staging service.
    """
    scheme = header.scheme
    if not scheme:
        return False
    classes = _classes(request)
    if any(isinstance(each, TokenAuthentication) and each.takes(request, header) for each in classes):
        return True
    # REST framework has called the classes before this class already, and they returned None.
    behind = classes[classes.index(current) + 1 :]
    if any(_authenticates(other, request) for other in behind if not isinstance(other, _NOT_BY_HEADER)):
        return True
    if scheme in CHALLENGES:
        raise challenged(InvalidToken(), scheme) from (_FOREIGN if header.holds_foreign_token else None)
    return False


def _authenticates(other: BaseAuthentication, request: Request) -> bool:
    """Return whether an authentication class of another package authenticates the request.

    REST framework calls that class a second time later. Raises the exceptions of the class, and ``CredentialsConflict``
    if the other credentials of the request belong to another user.
    """
    user_and_auth = other.authenticate(request)
    if user_and_auth is None:
        return False
    of_django = django_request(request)
    choose(of_django, accepted_token(of_django, *user_and_auth))
    return True
