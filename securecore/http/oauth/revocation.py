"""The revocation endpoint (RFC 7009)."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response

from securecore import clock, revocation, tokens
from securecore.errors import InvalidToken
from securecore.http.oauth.protocol import OAuthError, OAuthView


class RevocationView(OAuthView):
    """Revoke a token of the client's own. 200 also for a token that means nothing (RFC 7009 section 2.2).

    An access token goes alone; a refresh token takes its whole family with it, access tokens too (section 2.1). A hint
    about the type only saves time, so it is not needed: both are looked for.
    """

    def post(self, request: Any) -> Response:
        client = self.authenticated_client()
        presented_token = self.parameter("token")
        if self.optional_parameter("token_type_hint") not in (None, "access_token", "refresh_token"):
            raise OAuthError("unsupported_token_type")
        family = tokens.refresh.family_of(presented_token)
        if family is not None:
            if family.client_id == client.client_id:
                revocation.revoke_family(family.pk)
            return Response()
        try:
            token = tokens.verify(presented_token, now=clock.now())
        except InvalidToken:
            return Response()
        if token.client_id == client.client_id:
            revocation.revoke_token(
                issuer=token.issuer,
                jti=token.jti,
                expires_at=token.expires_at,
                subject=token.subject,
                client_id=token.client_id,
            )
        return Response()
