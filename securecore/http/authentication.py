"""REST framework authentication by certificate, by access token and by session, one class a scheme.

The order of a view's classes does not choose the caller: a class that does not take the Authorization header defers to
the class that does, wherever that stands. See docs/callers.md.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework.authentication import BaseAuthentication
from rest_framework.authentication import SessionAuthentication as RestSessionAuthentication

from securecore import clock, tokens
from securecore.caller import credential_table, user_of_token
from securecore.errors import (
    CertificateUnknown,
    InvalidDPoPProof,
    InvalidToken,
    SessionRefused,
    UseDPoPNonce,
)
from securecore.grants import principal_of
from securecore.http.authorization.credentials import (
    CHALLENGES,
    authorization,
    challenged,
    one_caller,
    token_credential,
    user_by_bearer,
    user_by_dpop,
)
from securecore.identity import ClientCertificate
from securecore.tokens import AccessToken, simplejwt


class OwnAuthentication(BaseAuthentication):
    """What our classes have in common."""

    def authenticate_header(self, request: Any) -> str | None:
        """Return the challenges of every class of the view, since REST framework asks its first one only (RFC 9110
        section 11.6.1); None if no class has one.
        """
        classes = request.authenticators
        challenges = [
            getattr(each, "challenge", None)
            if isinstance(each, OwnAuthentication)
            else each.authenticate_header(request)
            for each in classes
        ]
        return ", ".join(dict.fromkeys(filter(None, challenges))) or None


class CertificateAuthentication(OwnAuthentication):
    """The user for whom the client certificate is enrolled; ``request.auth`` is the ``ClientCertificate``.

    It answers for no request whose Authorization header another class of the view takes, and for none whose session,
    opened under this certificate, is another user's: then the view's session class answers, if it has one.
    """

    def authenticate(self, request: Any) -> tuple[Any, ClientCertificate] | None:
        if _is_taken(request, self):
            return None
        request, classes = request._request, request.authenticators
        certificate, user = request.client_certificate, request.certificate_user
        if certificate is None:
            return None
        takes_sessions = any(isinstance(each, RestSessionAuthentication) for each in classes)
        takes = (
            (credential_table.SESSION, credential_table.CERTIFICATE)
            if takes_sessions
            else (credential_table.CERTIFICATE,)
        )
        by = one_caller(request, takes=takes).by
        if by is not None and by.kind == credential_table.SESSION and (user is None or by.user != principal_of(user)):
            return None
        if user is None:
            raise CertificateUnknown
        return user, certificate


class TokenAuthentication(OwnAuthentication):
    """An access token in the Authorization header, and nowhere else (RFC 6750 section 2.1); ``request.auth`` is the
    ``AccessToken``. Every reason is answered with the same words.
    """

    scheme: ClassVar[str]
    challenge: ClassVar[str]
    #: Of two classes for one scheme in a view, one takes the tokens whose header says ``at+jwt``, the other the rest.
    takes_our_own: ClassVar[bool] = True

    def authenticate(self, request: Any) -> tuple[Any, AccessToken] | None:
        if not self.takes(request):
            _is_taken(request, self)
            return None
        try:
            # Django's own, whose attributes REST framework looks for in its own first, each time.
            user, token = self._identify(request._request, authorization(request)[1])
        except (InvalidToken, InvalidDPoPProof, UseDPoPNonce) as refusal:
            challenged(refusal, self.scheme.lower())
            raise
        one_caller(request._request, token_credential(request._request, user, token))
        return user, token

    def takes(self, request: Any) -> bool:
        """Say whether this class judges the Authorization header: its scheme, and of two classes for one scheme the
        one for this type of token.
        """
        scheme, presented_token = authorization(request)
        if scheme != self.scheme.lower():
            return False
        is_ours = None
        for each in request.authenticators:
            if each is self or isinstance(each, (CertificateAuthentication, RestSessionAuthentication)):
                continue
            if isinstance(each, TokenAuthentication):
                if each.scheme != self.scheme or each.takes_our_own is self.takes_our_own:
                    continue
                return tokens.is_our_type(presented_token) is self.takes_our_own
            is_ours = tokens.is_our_type(presented_token) if is_ours is None else is_ours
            if not is_ours and _answers(each, request):
                return False
        return True

    def _identify(self, request: Any, presented_token: str) -> tuple[Any, AccessToken]:
        raise NotImplementedError


class AccessTokenAuthentication(TokenAuthentication):
    """``Authorization: Bearer``: a token that is bound to the certificate on the wire (RFC 8705 section 3)."""

    scheme = "Bearer"
    challenge = CHALLENGES["bearer"]

    def _identify(self, request: Any, presented_token: str) -> tuple[Any, AccessToken]:
        return user_by_bearer(request)


class DPoPAuthentication(TokenAuthentication):
    """``Authorization: DPoP`` with a proof of the key that the token is bound to (RFC 9449 section 7.1)."""

    scheme = "DPoP"
    challenge = CHALLENGES["dpop"]

    def _identify(self, request: Any, presented_token: str) -> tuple[Any, AccessToken]:
        return user_by_dpop(request)


class SimpleJWTAuthentication(TokenAuthentication):
    """``Authorization: Bearer`` with a token of djangorestframework-simplejwt, for the time of a migration.

    The project's ``SIMPLE_JWT`` settings decide what is refused. A token is not bound to anything, but revocable: give
    ``request.auth`` to ``revoke_token``, or its user to ``revoke_user_tokens``. A view may have
    ``AccessTokenAuthentication`` too: then that takes the tokens whose header says ``at+jwt``, and this class the rest.
    """

    scheme = "Bearer"
    challenge = CHALLENGES["bearer"]
    takes_our_own = False

    def _identify(self, request: Any, presented_token: str) -> tuple[Any, AccessToken]:
        now = clock.now()
        verified = simplejwt.verify_all(presented_token, now=now)
        user = user_of_token(verified.token, now=now, certificate=request.client_certificate)
        verified.require_user(user)
        return user, verified.token


class SessionAuthentication(OwnAuthentication, RestSessionAuthentication):
    """REST framework's, with CSRF protection. In a view that takes only sessions, a session that belongs to another
    certificate is 401 and not nobody; elsewhere another class may answer.
    """

    def authenticate(self, request: Any) -> Any:
        if _is_taken(request, self):
            return None
        authenticated = RestSessionAuthentication.authenticate(self, request)
        if authenticated is not None or not getattr(request.session, "is_refused", False):
            return authenticated
        if all(isinstance(each, RestSessionAuthentication) for each in request.authenticators):
            raise SessionRefused
        return None


#: Classes that take no Authorization header, or were asked whether they do.
_NOT_BY_HEADER = (TokenAuthentication, CertificateAuthentication, RestSessionAuthentication)


def _is_taken(request: Any, asked: BaseAuthentication) -> bool:
    """Say whether a class of the view takes the Authorization header, which ``asked`` does not.

    Raises ``InvalidToken`` (401) for a Bearer or DPoP token that no class takes. Any other scheme that no class takes
    is no credential, for example ``Basic`` of a proxy in front of a staging service.
    """
    scheme, _ = authorization(request)
    if not scheme:
        return False
    classes = list(request.authenticators)
    if any(isinstance(each, TokenAuthentication) and each.takes(request) for each in classes):
        return True
    # The classes before this one were asked, and took nothing.
    behind = classes[classes.index(asked) + 1 :]
    if any(_answers(each, request) for each in behind if not isinstance(each, _NOT_BY_HEADER)):
        return True
    if scheme in CHALLENGES:
        raise challenged(InvalidToken(), scheme)
    return False


def _answers(other: Any, request: Any) -> bool:
    """Say whether an authentication class of another package takes the request; REST framework asks that class once
    more. Raises what the class raises, and ``CredentialsConflict`` if its user is not the one of the other credentials.
    """
    answer = other.authenticate(request)
    if answer is None:
        return False
    one_caller(request._request, token_credential(request._request, *answer))
    return True
