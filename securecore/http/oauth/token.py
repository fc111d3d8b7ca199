"""The token endpoint (RFC 6749 section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rest_framework.request import Request
from rest_framework.response import Response

from securecore import clock, database, events, grants, identity, tokens
from securecore.caller.conditions import of_certificate
from securecore.caller.presented import LockoutInForce
from securecore.errors import LockedOut
from securecore.grants import principals
from securecore.http.oauth.protocol import OAuthError, OAuthView
from securecore.http.request import django_request
from securecore.texts import quoted_argument
from securecore.tokens import refresh
from securecore.tokens.clients import AuthenticatedClient

#: With this grant type the certificate's user requests tokens without any other credential.
CERTIFICATE_GRANT = "urn:securecore:grant-type:certificate"
GRANT_TYPES = ("client_credentials", "refresh_token", CERTIFICATE_GRANT)


class TokenView(OAuthView):
    """Issue tokens that are bound to the request's DPoP key, or without a DPoP proof to its certificate."""

    def post(self, request: Request) -> Response:
        grant_type = self.parameter("grant_type")
        if grant_type not in GRANT_TYPES:
            raise OAuthError("unsupported_grant_type", description=f"grant_type is one of {', '.join(GRANT_TYPES)}.")
        # Authenticate the client before the proof is claimed, so that an unknown client cannot insert rows.
        client = self.authenticated_client()
        certificate = self.client_certificate()
        identity.remember(certificate=certificate, now=clock.now())
        proof = django_request(request).dpop_proof.claimed()
        binding = f"jkt:{proof.jkt}" if proof else f"x5t#S256:{certificate.thumbprint}"
        if grant_type == "refresh_token":
            return self._refresh(client, binding)
        scope = self._scope(client)
        if grant_type == "client_credentials":
            # Issue no refresh token: the client can request a new access token at any time (RFC 6749 section 4.4.3).
            with self._behind_gates(client, client.user.pk):
                return self._answer(client, user_id=client.user.pk, binding=binding, scope=scope)
        return self._certificate(client, binding, scope)

    def _certificate(self, client: AuthenticatedClient, binding: str, scope: str) -> Response:
        user = django_request(self.request).certificate_user
        if user is None:
            reason = "The certificate proves the client by its name, and is enrolled for no active user."
            raise OAuthError("invalid_grant", kind="no-user", reason=reason)
        with self._behind_gates(client, user.pk):
            family, secret = refresh.start(
                user_id=user.pk,
                client_id=client.client_id,
                binding=self._refresh_binding(client, binding),
                certificate=self.client_certificate().thumbprint,
                scope=scope,
                rotates=client.rotates_refresh_tokens,
                now=clock.now(),
            )
            return self._answer(
                client, user_id=user.pk, binding=binding, scope=scope, family=family, refresh_token=secret
            )

    def _refresh(self, client: AuthenticatedClient, binding: str) -> Response:
        presented_token = self.parameter("refresh_token")
        # Check the scope before the refresh token is redeemed: a refused request must not use the token up.
        narrowed = self._narrowed(presented_token, client)
        known = refresh.family_of(presented_token)
        if known is None:
            raise _refused(refresh.NotRedeemed("unknown"), client)
        with self._behind_gates(client, known.user_id):
            outcome = refresh.redeem(
                presented_token=presented_token,
                client_id=client.client_id,
                user_id=None if client.is_registered else client.user.pk,
                binding=self._refresh_binding(client, binding),
                certificate=self.client_certificate().thumbprint,
                now=clock.now(),
            )
            if isinstance(outcome, refresh.Redeemed):
                return self._refreshed(client, outcome, binding, narrowed)
        # The transaction has committed, so the refusal does not undo the revocation of a reused family.
        raise _refused(outcome, client)

    def _refreshed(
        self, client: AuthenticatedClient, outcome: refresh.Redeemed, binding: str, narrowed: str | None
    ) -> Response:
        family = outcome.family
        # The client's registration may allow a smaller scope now than when the family began.
        scope = " ".join(value for value in (narrowed or family.scope).split() if value in client.scope)
        return self._answer(
            client,
            user_id=family.user_id,
            binding=binding,
            scope=scope,
            family=family,
            refresh_token=outcome.token,
        )

    @contextmanager
    def _behind_gates(self, client: AuthenticatedClient, user_id: object) -> Iterator[None]:
        """Run the block, which issues tokens, in one transaction that enters the gates of user, client and certificate.

        A revocation of one of the three either waits for the block and then ends its tokens, or has committed before.
        In the second case this method sees the revocation and raises ``invalid_grant``. Raises ``LockedOut`` too.
        """
        certificate = self.client_certificate()
        presented = identity.identifiers(certificate)
        names = (f"user:{user_id}", principals.service(client.client_id), *map(principals.certificate, presented))
        with database.outermost_transaction("A token request"):
            refusal = grants.enter(names, conditions=of_certificate(certificate), clock=clock.now)
            if refusal == LockedOut.code:  # ``invalid_grant`` would make the client forget its refresh token
                raise LockedOut from LockoutInForce(*names)
            if refusal:
                reason = f"Behind the gates of {', '.join(names)}: {refusal}."
                raise OAuthError("invalid_grant", kind=refusal, reason=reason)
            yield

    def _refresh_binding(self, client: AuthenticatedClient, binding: str) -> str:
        # If the client proves a DPoP key, the refresh token is bound to this key (RFC 9449 section 5).
        if binding.startswith("jkt:"):
            return binding
        return client.refresh_binding(self.client_certificate().thumbprint)

    def _scope(self, client: AuthenticatedClient) -> str:
        requested = (self.optional_parameter("scope") or "").split()
        if not client.scope.issuperset(requested):
            raise _scope_refused(client, requested, client.scope)
        return " ".join(dict.fromkeys(requested))

    def _narrowed(self, presented_token: str, client: AuthenticatedClient) -> str | None:
        """Return the scope that a refresh requests, or None for the whole granted scope.

        Raises ``invalid_scope`` for a scope that was not granted (RFC 6749 section 6).
        """
        requested = self.optional_parameter("scope")
        if requested is None:
            return None
        family = refresh.family_of(presented_token)
        # For another client's token accept each scope here, so that the response does not reveal the granted scope.
        granted = (
            family.scope.split()
            if family is not None and client.owns(client_id=family.client_id, user_id=family.user_id)
            else requested.split()
        )
        if not set(granted).issuperset(requested.split()):
            raise _scope_refused(client, requested.split(), granted)
        return " ".join(dict.fromkeys(requested.split()))

    def _answer(
        self,
        client: AuthenticatedClient,
        *,
        user_id: object,
        binding: str,
        scope: str,
        family: tokens.RefreshFamily | None = None,
        refresh_token: str | None = None,
    ) -> Response:
        encoded, token = tokens.issue(
            subject=str(user_id),
            client_id=client.client_id,
            binding=binding,
            certificate=self.client_certificate().thumbprint,
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


def _scope_refused(client: AuthenticatedClient, requested: Iterable[str], allowed: Iterable[str]) -> OAuthError:
    excess = quoted_argument(" ".join(sorted(set(requested) - set(allowed))))
    reason = f"The client {quoted_argument(client.client_id)} requested {excess}, which it may not have."
    return OAuthError("invalid_scope", kind="scope-not-allowed", reason=reason)


def _refused(outcome: refresh.NotRedeemed, client: AuthenticatedClient) -> OAuthError:
    _report(outcome, client)
    family = f" of the authorization {outcome.family.pk}" if outcome.family else ""
    named = quoted_argument(client.client_id)
    reason = f"The refresh token{family} was not redeemed for the client {named}: {outcome.reason}."
    return OAuthError("invalid_grant", kind=outcome.reason, reason=reason)


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
