"""REST framework authentication by certificate and by access token, one class a scheme."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework.authentication import BaseAuthentication
from rest_framework.authentication import SessionAuthentication as RestSessionAuthentication

from securecore import access, clock, tokens
from securecore.errors import (
    CertificateUnknown,
    InvalidDPoPProof,
    InvalidToken,
    Refused,
    SessionRefused,
    UseDPoPNonce,
)
from securecore.http.dpop import proof_for_token
from securecore.identity import ClientCertificate
from securecore.replay import DPOP_ALGORITHMS
from securecore.tokens import AccessToken, simplejwt


class CertificateAuthentication(BaseAuthentication):
    """The user for whom the client certificate is enrolled; ``request.auth`` is the ``ClientCertificate``."""

    def authenticate(self, request: Any) -> tuple[Any, ClientCertificate] | None:
        request = request._request
        if request.client_certificate is None:
            return None
        if request.certificate_user is None:
            raise CertificateUnknown
        return request.certificate_user, request.client_certificate


class TokenAuthentication(BaseAuthentication):
    """An access token in the Authorization header, and nowhere else (RFC 6750 section 2.1); ``request.auth`` is the
    ``AccessToken``. Every reason is answered with the same words.
    """

    scheme: ClassVar[str]
    challenge: ClassVar[str]
    #: Of two classes for one scheme in a view, one takes the tokens whose header says ``at+jwt``, the other the rest.
    takes_our_own: ClassVar[bool] = True

    def authenticate(self, request: Any) -> tuple[Any, AccessToken] | None:
        scheme, _, presented_token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != self.scheme.lower() or self._is_another_s(request, presented_token.strip()):
            return None
        try:
            # Django's own, whose attributes REST framework looks for in its own first, each time.
            return self._identify(request._request, presented_token.strip())
        except (InvalidToken, InvalidDPoPProof, UseDPoPNonce) as refusal:
            self._challenge(refusal)
            raise

    def authenticate_header(self, request: Any) -> str:
        """Every scheme that the view takes, since REST framework asks its first one only (RFC 9110 section 11.6.1)."""
        schemes = [each.challenge for each in request.authenticators if isinstance(each, TokenAuthentication)]
        return ", ".join(dict.fromkeys(schemes))

    def _is_another_s(self, request: Any, presented_token: str) -> bool:
        if len(request.authenticators) == 1:
            return False
        there_is_another = any(
            isinstance(each, TokenAuthentication)
            and each.scheme == self.scheme
            and each.takes_our_own is not self.takes_our_own
            for each in request.authenticators
        )
        return there_is_another and tokens.is_our_type(presented_token) is not self.takes_our_own

    def _identify(self, request: Any, presented_token: str) -> tuple[Any, AccessToken]:
        raise NotImplementedError

    def _challenge(self, refusal: Refused) -> None:
        error = refusal.code.replace("-", "_")
        refusal.status = 401  # type: ignore[misc]  # what is 400 at the token endpoint (RFC 9449 sections 5 and 7.1)
        refusal.headers["WWW-Authenticate"] = f'{self.challenge}, error="{error}"'


class AccessTokenAuthentication(TokenAuthentication):
    """``Authorization: Bearer``: a token that is bound to the certificate on the wire (RFC 8705 section 3)."""

    scheme = "Bearer"
    challenge = 'Bearer realm="api"'

    def _identify(self, request: Any, presented_token: str) -> tuple[Any, AccessToken]:
        token, certificate = request.access.good_token(), request.client_certificate
        # A token that is bound to a DPoP key is refused as Bearer with the rest (RFC 9449 section 7.2).
        if certificate is None or not _is_bound(token, f"x5t#S256:{certificate.thumbprint}"):
            raise InvalidToken
        return request.access.user_of_token(), token


class DPoPAuthentication(TokenAuthentication):
    """``Authorization: DPoP`` with a proof of the key that the token is bound to (RFC 9449 section 7.1)."""

    scheme = "DPoP"
    challenge = f'DPoP realm="api", algs="{" ".join(DPOP_ALGORITHMS)}"'

    def _identify(self, request: Any, presented_token: str) -> tuple[Any, AccessToken]:
        token = request.access.good_token()
        proof_for_token(request)
        return request.access.user_of_token(), token


def _is_bound(token: AccessToken, proven: str) -> bool:
    # A thumbprint is no secret that time could tell, and the token's may be any text, lone surrogates included.
    return token.binding == proven


class SimpleJWTAuthentication(TokenAuthentication):
    """``Authorization: Bearer`` with a token of djangorestframework-simplejwt, for the time of a migration.

    Not bound to anything, but revocable: give ``request.auth`` to ``revoke_token``, or its user to
    ``revoke_user_tokens``. A view may have ``AccessTokenAuthentication`` too: then that takes the tokens whose header
    says ``at+jwt``, and this class the rest.
    """

    scheme = "Bearer"
    challenge = 'Bearer realm="api"'
    takes_our_own = False

    def _identify(self, request: Any, presented_token: str) -> tuple[Any, AccessToken]:
        now = clock.now()
        token = simplejwt.verify(presented_token, now=now)
        return access.user_of_token(token, now=now), token


class SessionAuthentication(RestSessionAuthentication):
    """REST framework's, with CSRF protection; a session that belongs to another certificate is 401 and not nobody."""

    def authenticate(self, request: Any) -> Any:
        authenticated = super().authenticate(request)
        if authenticated is None and getattr(request.session, "is_refused", False):
            raise SessionRefused
        return authenticated
