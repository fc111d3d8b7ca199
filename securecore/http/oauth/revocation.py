"""The revocation endpoint (RFC 7009)."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from securecore import clock, revocation, tokens
from securecore.errors import InvalidToken
from securecore.grants import principals
from securecore.http.oauth.protocol import OAuthView


class RevocationView(OAuthView):
    """Revoke a token of the client. The response is a 200 also for an unknown token (RFC 7009 section 2.2).

    For an access token only that token is revoked. For a refresh token its whole family is revoked, with its access
    tokens (section 2.1). ``token_type_hint`` is ignored: it could only save time, and the view tries both token types
    for each value of the hint, also for an unknown value (section 2.1).
    """

    def post(self, request: Request) -> Response:
        client = self.authenticated_client()
        presented_token = self.parameter("token")
        family = tokens.refresh.family_of(presented_token)
        if family is not None:
            if client.owns(client_id=family.client_id, user_id=family.user_id):
                revocation.revoke_family(family.pk)
            return Response()
        try:
            token = tokens.verify(presented_token, now=clock.now(), is_early_good=True)
        except InvalidToken:
            return Response()
        if client.owns(client_id=token.client_id, user_id=token.subject):
            revocation.revoke_token(
                issuer=token.issuer,
                jti=token.jti,
                expires_at=token.expires_at,
                # A token from before a change of the user model names a user by a key of another kind.
                subject=token.subject if principals.user(token.subject) else "",
                client_id=token.client_id,
            )
        return Response()
