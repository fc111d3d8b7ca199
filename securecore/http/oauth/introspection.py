"""The introspection endpoint (RFC 7662), for other services that accept securecore's tokens."""

from __future__ import annotations

import datetime as dt
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from securecore import caller, clock, events, tokens
from securecore.errors import InvalidToken, LockedOut
from securecore.grants import lockouts, principals
from securecore.http.oauth.protocol import OAuthView
from securecore.http.refusal_report import sentence_of
from securecore.texts import quoted_argument, without_secrets
from securecore.tokens.clients import AuthenticatedClient

#: The response for a token that is dead or unknown, or that the client may not introspect (section 2.2).
_INACTIVE = {"active": False}


class IntrospectionView(OAuthView):
    """Return the state and the claims of a token, to its own client and to clients that may introspect."""

    def post(self, request: Request) -> Response:
        client = self.authenticated_client()
        presented_token = self.parameter("token")
        family = tokens.refresh.family_of(presented_token)
        if family is not None:
            return Response(self._refresh_token(presented_token, family, client))
        return Response(self._access_token(presented_token, client))

    def _access_token(self, presented_token: str, client: AuthenticatedClient) -> dict[str, Any]:
        now = clock.now()
        try:
            token = tokens.verify(presented_token, now=now)
        except InvalidToken as refusal:
            return _inactive(
                client,
                sentence_of(refusal.__cause__) if refusal.__cause__ else "It is no access token of securecore.",
            )
        if not _may_know(client, token.client_id, token.subject):
            return _inactive(client, f"It is of the client {quoted_argument(token.client_id)}, not of the asking one.")
        try:
            user = caller.user_of_token(token, now=now)
        except (InvalidToken, LockedOut) as refusal:
            why = "locked out" if isinstance(refusal, LockedOut) else "revoked, or its user is not active"
            named = f"user:{token.subject} and the client {quoted_argument(token.client_id)}"
            return _inactive(client, f"The token of {named} is {why}.")
        method, _, value = token.binding.partition(":")
        answer = {
            "active": True,
            "token_type": token.token_type,
            "iss": token.issuer,
            "aud": tokens.audience(),
            "sub": token.subject,
            "username": user.get_username(),
            "client_id": token.client_id,
            "jti": token.jti,
            "iat": int(token.issued_at.timestamp()),
            "exp": int(token.expires_at.timestamp()),
            "cnf": {method: value},
        }
        return answer | ({"scope": token.scope} if token.scope else {})

    def _refresh_token(
        self, presented_token: str, family: tokens.RefreshFamily, client: AuthenticatedClient
    ) -> dict[str, Any]:
        now = clock.now()
        conditions = {
            "it was replaced, revoked, or has expired": tokens.refresh.is_live(presented_token, now),
            "its user, client or certificate is locked out": not _is_locked_out(family, now),
            "its user is not active": family.user.is_active,
            "it is of another client than the asking one": _may_know(client, family.client_id, family.user_id),
        }
        if unmet := [reason for reason, is_met in conditions.items() if not is_met]:
            return _inactive(client, f"A refresh token of the authorization {family.pk}: {'; '.join(unmet)}.")
        return {
            "active": True,
            "sub": str(family.user_id),
            "client_id": family.client_id,
            "iat": int(family.created_at.timestamp()),
            "exp": int(family.expires_at.timestamp()),
        }


def _inactive(client: AuthenticatedClient, reason: str) -> dict[str, Any]:
    events.emit(events.TokenInactive(client_id=client.client_id, reason=without_secrets(reason)))
    return _INACTIVE


def _is_locked_out(family: tokens.RefreshFamily, now: dt.datetime) -> bool:
    names = [principals.user(str(family.user_id)), principals.service(family.client_id)]
    names += [principals.certificate(family.certificate_id)] if family.certificate_id else []
    return lockouts.is_locked_out(*filter(None, names), now=now)


def _may_know(client: AuthenticatedClient, client_id: str, user_id: object) -> bool:
    return client.may_introspect or client.owns(client_id=client_id, user_id=user_id)
