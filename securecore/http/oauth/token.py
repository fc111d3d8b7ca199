"""The token endpoint (RFC 6749 section 3.2)."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response

from securecore import clock, events, identity, tokens
from securecore.http.oauth.protocol import OAuthError, OAuthView
from securecore.tokens import refresh
from securecore.tokens.clients import AuthenticatedClient

#: The user whose certificate it is asks for tokens, without any other credential.
CERTIFICATE_GRANT = "urn:securecore:grant-type:certificate"
GRANT_TYPES = ("client_credentials", "refresh_token", CERTIFICATE_GRANT)


class TokenView(OAuthView):
    """Gives tokens that are bound: to the DPoP key of the request if there is a proof, else to its certificate."""

    def post(self, request: Any) -> Response:
        grant_type = self.parameter("grant_type")
        if grant_type not in GRANT_TYPES:
            raise OAuthError("unsupported_grant_type")
        client = self.authenticated_client()
        identity.remember(certificate=request.client_certificate, now=clock.now())
        proof = request.dpop_proof.claimed()  # after the client is known: a stranger's proof is no row
        binding = f"jkt:{proof.jkt}" if proof else f"x5t#S256:{request.client_certificate.thumbprint}"
        if grant_type == "refresh_token":
            return self._refresh(client, binding)
        scope = self._scope(client)
        if grant_type == "client_credentials":
            # No refresh token: the client can always ask again (RFC 6749 section 4.4.3).
            return self._answer(client, user_id=client.user.pk, binding=binding, scope=scope)
        return self._certificate(client, binding, scope)

    def _certificate(self, client: AuthenticatedClient, binding: str, scope: str) -> Response:
        user = self.request.certificate_user
        if user is None:
            raise OAuthError("invalid_grant")
        family, secret = refresh.start(
            user_id=user.pk,
            client_id=client.client_id,
            binding=self._refresh_binding(client, binding),
            certificate=self.request.client_certificate.thumbprint,
            scope=scope,
            rotates=client.rotates_refresh_tokens,
            now=clock.now(),
        )
        return self._answer(client, user_id=user.pk, binding=binding, scope=scope, family=family, refresh_token=secret)

    def _refresh(self, client: AuthenticatedClient, binding: str) -> Response:
        presented_token = self.parameter("refresh_token")
        # First: a refused request must leave the client the token that it has.
        narrowed = self._narrowed(presented_token, client)
        outcome = refresh.redeem(
            presented_token=presented_token,
            client_id=client.client_id,
            user_id=None if client.is_registered else client.user.pk,
            binding=self._refresh_binding(client, binding),
            certificate=self.request.client_certificate.thumbprint,
            now=clock.now(),
        )
        # The transaction of redeem() has committed: what follows may refuse without undoing a revocation.
        if isinstance(outcome, refresh.NotRedeemed):
            _report(outcome, client)
            raise OAuthError("invalid_grant")
        family = outcome.family
        if not family.user.is_active:
            raise OAuthError("invalid_grant")
        # The registration may have lost some of it since.
        scope = " ".join(value for value in (narrowed or family.scope).split() if value in client.scope)
        return self._answer(
            client,
            user_id=family.user_id,
            binding=binding,
            scope=scope,
            family=family,
            refresh_token=outcome.token,
        )

    def _refresh_binding(self, client: AuthenticatedClient, binding: str) -> str:
        # A DPoP key binds the refresh tokens of every client that shows one (RFC 9449 section 5).
        if binding.startswith("jkt:"):
            return binding
        return client.refresh_binding(self.request.client_certificate.thumbprint)

    def _scope(self, client: AuthenticatedClient) -> str:
        wanted = (self.optional_parameter("scope") or "").split()
        if not client.scope.issuperset(wanted):
            raise OAuthError("invalid_scope")
        return " ".join(dict.fromkeys(wanted))

    def _narrowed(self, presented_token: str, client: AuthenticatedClient) -> str | None:
        """Return the scope that a refresh asks for, None for all that was granted. More is ``invalid_scope`` (RFC 6749
        section 6).
        """
        wanted = self.optional_parameter("scope")
        if wanted is None:
            return None
        family = refresh.family_of(presented_token)
        # Another client learns nothing from the difference.
        granted = (
            family.scope.split()
            if family is not None and client.owns(client_id=family.client_id, user_id=family.user_id)
            else wanted.split()
        )
        if not set(granted).issuperset(wanted.split()):
            raise OAuthError("invalid_scope")
        return " ".join(dict.fromkeys(wanted.split()))

    def _answer(
        self,
        client: AuthenticatedClient,
        *,
        user_id: Any,
        binding: str,
        scope: str,
        family: tokens.RefreshFamily | None = None,
        refresh_token: str | None = None,
    ) -> Response:
        encoded, token = tokens.issue(
            subject=str(user_id),
            client_id=client.client_id,
            binding=binding,
            certificate=self.request.client_certificate.thumbprint,
            scope=scope,
            family_id=family.pk if family else None,
            is_registered=client.is_registered,
            now=clock.now(),
        )
        lifetime = round((token.expires_at - token.issued_at).total_seconds())
        body = {"access_token": encoded, "token_type": token.token_type, "expires_in": lifetime}
        if refresh_token is not None:
            body["refresh_token"] = refresh_token
        if scope:
            body["scope"] = scope
        return Response(body)


def _report(outcome: refresh.NotRedeemed, client: AuthenticatedClient) -> None:
    family = outcome.family
    if outcome.reused and family is not None:
        events.emit(
            events.RefreshTokenReused(family=str(family.pk), user=str(family.user_id), client_id=client.client_id)
        )
        return
    events.emit(
        events.RefreshTokenRefused(
            family=str(family.pk) if family else None, client_id=client.client_id, reason=outcome.reason
        )
    )
