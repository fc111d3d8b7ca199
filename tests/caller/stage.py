"""Alice, Bob and a certificate without an enrolment, with credentials in every state."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import jwt
from django.contrib.auth.models import User

from securecore import clock, tokens
from securecore.digests import jwk_thumbprint
from securecore.identity import parse_pem
from securecore.revocation import revoke_token
from securecore.sessions import Session
from securecore.testing import Authority, MutualTLSClient
from tests.replay.proofs import ED25519, ES256
from tests.tokens.calls import prove

SESSION = "__Host-sessionid"
KEY = "the secret of the service that simplejwt protects: sixty-four bytes are enough"


@dataclass(frozen=True)
class Token:
    """A token of alice with a ``kind`` and a ``state``; ``certificate`` names its certificate."""

    kind: str = "bearer"
    state: str = "good"
    certificate: str = "alice"
    user: str = "alice"
    client_id: str = "payments"


class Stage:
    """Clients with certificates and sessions, and headers with tokens."""

    def __init__(self, ca: Authority, users: dict[str, User]) -> None:
        self.ca, self.users = ca, users
        self._session = ""
        self._kept: dict[Token, str] = {}

    def keep(self, token: Token) -> None:
        """Issue this token now, and present it in each request that follows, instead of a new one in each."""
        self._kept[token] = self.encoded(token)

    def thumbprint(self, name: str) -> str:
        return parse_pem(self.ca.certificate_for(name).pem).thumbprint

    def client(self, certificate: str | None = None, session: str = "", **defaults: Any) -> MutualTLSClient:
        """Return a client under this certificate, with a session of alice.

        ``session`` is "" for none, "good", "bob" for a session of bob, "stolen" for one opened under carol's
        certificate, or
        "expired".
        """
        self._session = ""
        client = MutualTLSClient(*([self.ca.certificate_for(certificate)] if certificate else []), **defaults)
        opener = MutualTLSClient(self.ca.certificate_for("carol")) if session == "stolen" else client
        if session:
            assert opener.get(f"/log-in/{'bob' if session == 'bob' else 'alice'}").status_code == 200
            self._session = opener.cookies[SESSION].value
        if session == "expired":
            Session.objects.update(expires_at=clock.now() - dt.timedelta(seconds=1))
        return client

    def get(self, client: MutualTLSClient, path: str, token: Token | None = None) -> Any:
        """Send a request with the session cookie of the last client, which a response may have
        removed from the client.
        """
        if self._session:
            client.cookies[SESSION] = self._session
        return client.get(path, **self.headers(token, path))

    def headers(self, token: Token | None, path: str, method: str = "GET") -> dict[str, Any]:
        if token is None:
            return {}
        encoded = self._kept.get(token) or self.encoded(token)
        if token.kind != "dpop":
            return {"HTTP_AUTHORIZATION": f"Bearer {encoded}"}
        proof = prove(path, method, token=encoded, by=ED25519 if token.state == "another key" else ES256)
        proven = {} if token.state == "no proof" else {"HTTP_DPOP": proof}
        return {"HTTP_AUTHORIZATION": f"DPoP {encoded}", **proven}

    def encoded(self, token: Token) -> str:
        subject, now = str(self.users[token.user].pk), clock.now()
        if token.kind == "simplejwt":
            return self._of_simplejwt(token, subject, now)
        binding = f"x5t#S256:{self.thumbprint(token.certificate)}"
        if token.kind == "dpop":
            binding = f"jkt:{jwk_thumbprint(ES256.jwk)}"
        if token.state == "expired":
            now -= dt.timedelta(hours=1)
        encoded, issued = tokens.issue(
            subject=subject,
            client_id=token.client_id,
            binding=binding,
            certificate=self.thumbprint(token.certificate),
            now=now,
        )
        if token.state == "revoked":
            revoke_token(issuer=issued.issuer, jti=issued.jti, expires_at=issued.expires_at)
        return f"{encoded[:-8]}AAAAAAAA" if token.state == "forged" else encoded

    def _of_simplejwt(self, token: Token, subject: str, now: dt.datetime) -> str:
        claims = {
            "token_type": "access",
            "exp": now.timestamp() + (-60 if token.state == "expired" else 600),
            "iat": int(now.timestamp()),
            "jti": f"{token.state} {now.timestamp()}",
            "user_id": subject,
        }
        key = KEY.upper() if token.state == "forged" else KEY
        if token.state == "revoked":
            expires_at = now + dt.timedelta(minutes=10)
            revoke_token(issuer=tokens.simplejwt.ISSUER, jti=str(claims["jti"]), expires_at=expires_at)
        return jwt.encode(claims, key, "HS256")


def answer(response: Any) -> str:
    """Return the name of the caller, or the code of the refusal."""
    body = response.json()
    return str(body["code"] if "code" in body else body["user"])
