"""REST framework authentication by certificate and by access token."""

from __future__ import annotations

from typing import Any

from rest_framework.authentication import BaseAuthentication

from securecore import access, clock, tokens
from securecore.errors import CertificateUnknown, InvalidToken
from securecore.identity import ClientCertificate
from securecore.tokens import AccessToken


class CertificateAuthentication(BaseAuthentication):
    """The user for whom the client certificate is enrolled; ``request.auth`` is the ``ClientCertificate``."""

    def authenticate(self, request: Any) -> tuple[Any, ClientCertificate] | None:
        certificate = request.client_certificate
        if certificate is None:
            return None
        if request.certificate_user is None:
            raise CertificateUnknown
        return request.certificate_user, certificate


class AccessTokenAuthentication(BaseAuthentication):
    """The user named by a bearer token that is bound to the certificate on the wire; ``request.auth`` is the
    ``AccessToken``.

    From the Authorization header only (RFC 6750 section 2.1). Raises ``InvalidToken``: 401, with the same words for
    every reason.
    """

    def authenticate(self, request: Any) -> tuple[Any, AccessToken] | None:
        scheme, _, presented_token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            return self._authenticate(request, presented_token.strip())
        except InvalidToken as refusal:
            refusal.headers["WWW-Authenticate"] = f'{self.authenticate_header(request)}, error="invalid_token"'
            raise

    def authenticate_header(self, request: Any) -> str:
        return 'Bearer realm="api"'

    def _authenticate(self, request: Any, presented_token: str) -> tuple[Any, AccessToken]:
        now = clock.now()
        token = tokens.verify(presented_token, now=now)
        certificate = request.client_certificate
        # RFC 8705 section 3: a mismatch is answered like any other invalid token. No secret is compared here.
        if certificate is None or token.bound_to != certificate.thumbprint:
            raise InvalidToken
        revocation = tokens.revocation_id(issuer=token.issuer, jti=token.jti)
        return access.user_of_token(subject=token.subject, revocation=revocation, now=now), token
