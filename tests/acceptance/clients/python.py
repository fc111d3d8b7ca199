"""Authlib and requests-oauthlib behind one interface, each with its own form of a token request."""

from __future__ import annotations

from typing import Any, Protocol

from authlib.integrations.base_client import OAuthError  # type: ignore[import-untyped]
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession  # type: ignore[import-untyped]
from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error  # type: ignore[import-untyped]
from requests_oauthlib import OAuth2Session  # type: ignore[import-untyped]

from demo_project.stack import Stack

CERTIFICATE = "urn:securecore:grant-type:certificate"
#: The exceptions of the two libraries for a refused token request; both have ``error``.
REFUSALS = (OAuthError, OAuth2Error)

Token = dict[str, Any]


class PythonClient(Protocol):
    """A client with a certificate (or None) and a client id."""

    url: str
    session: Any

    def __init__(self, stack: Stack, certificate: str | None, client_id: str) -> None: ...
    def obtain(self, grant_type: str, **parameters: str) -> Token: ...
    def refresh(self, token: Token, **parameters: str) -> Token: ...
    def revoke(self, token: str) -> Any: ...
    def introspect(self, token: str) -> Any: ...
    def expire(self) -> list[Token]:
        """Make the library believe that its token has expired; return the list to which it adds its new tokens."""


class Authlib:
    def __init__(self, stack: Stack, certificate: str | None, client_id: str) -> None:
        self.url = stack.url
        self.renewed: list[Token] = []
        self.session = AuthlibSession(
            client_id,
            token_endpoint=f"{self.url}/oauth/token",
            update_token=lambda token, **_: self.renewed.append(token),
        )
        authenticate(self.session, stack, certificate)

    def obtain(self, grant_type: str, **parameters: str) -> Token:
        return dict(self.session.fetch_token(grant_type=grant_type, **parameters))

    def refresh(self, token: Token, **parameters: str) -> Token:
        return dict(self.session.refresh_token(refresh_token=token["refresh_token"], **parameters))

    def revoke(self, token: str) -> Any:
        return self.session.revoke_token(f"{self.url}/oauth/revoke", token)

    def introspect(self, token: str) -> Any:
        return self.session.introspect_token(f"{self.url}/oauth/introspect", token).json()

    def expire(self) -> list[Token]:
        self.session.token["expires_at"] = 1
        return self.renewed


class RequestsOAuthlib:
    def __init__(self, stack: Stack, certificate: str | None, client_id: str) -> None:
        self.url = stack.url
        self.renewed: list[Token] = []
        self.session = OAuth2Session(
            client=BackendApplicationClient(client_id),
            auto_refresh_url=f"{self.url}/oauth/token",
            auto_refresh_kwargs={"client_id": client_id},
            token_updater=self.renewed.append,
        )
        authenticate(self.session, stack, certificate)

    def obtain(self, grant_type: str, **parameters: str) -> Token:
        self.session._client.grant_type = grant_type
        return dict(self.session.fetch_token(f"{self.url}/oauth/token", include_client_id=True, **parameters))

    def refresh(self, token: Token, **parameters: str) -> Token:
        url = f"{self.url}/oauth/token"
        return dict(self.session.refresh_token(url, refresh_token=token["refresh_token"], **parameters))

    def revoke(self, token: str) -> Any:
        url, headers, body = self.session._client.prepare_token_revocation_request(f"{self.url}/oauth/revoke", token)
        return self._post(url, headers=headers, data=body)

    def introspect(self, token: str) -> Any:
        # The library has no call for RFC 7662.
        return self._post(
            f"{self.url}/oauth/introspect", data={"token": token, "client_id": self.session.client_id}
        ).json()

    def expire(self) -> list[Token]:
        self.session._client._expires_at = 1
        return self.renewed

    def _post(self, url: str, **options: Any) -> Any:
        return self.session.request("POST", url, withhold_token=True, **options)


def authenticate(session: Any, stack: Stack, certificate: str | None) -> None:
    """Let ``session`` trust the demo's authority, show ``certificate``, and read nothing from the environment."""
    session.trust_env = False
    session.verify = str(stack.pki / "ca.pem")
    if certificate:
        session.cert = (str(stack.pki / f"{certificate}.pem"), str(stack.pki / f"{certificate}.key"))
