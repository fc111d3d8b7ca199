"""Requests of a client to the token service, and readers of the responses."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

import jwt
from django.test import Client

from securecore import clock
from securecore_client.wire.thumbprints import access_token_hash
from tests.replay.proofs import ABSENT, ES256, Signer

FORM = "application/x-www-form-urlencoded"
CERTIFICATE_GRANT = "urn:securecore:grant-type:certificate"


def post(client: Client, body: str, path: str = "/oauth/token", content_type: str = FORM, **extra: Any) -> Any:
    # Not client.post(), which encodes the body in the charset and drops the type of an empty body.
    return client.generic("POST", path, body.encode(), content_type=content_type, CONTENT_TYPE=content_type, **extra)


def ask(client: Client, grant_type: str = CERTIFICATE_GRANT, *, proof: str | None = None, **parameters: str) -> Any:
    """Return the response of the token endpoint."""
    headers = {} if proof is None else {"HTTP_DPOP": proof}
    return post(client, urlencode({"grant_type": grant_type, **parameters}), **headers)


def given(client: Client, grant_type: str = CERTIFICATE_GRANT, **parameters: Any) -> dict[str, Any]:
    """Return the tokens that the token endpoint issues."""
    answer = ask(client, grant_type, **parameters)
    assert answer.status_code == 200, answer.content
    assert answer["Cache-Control"] == "no-store"
    return dict(answer.json())


def refresh(client: Client, token: str, **parameters: Any) -> Any:
    return ask(client, "refresh_token", refresh_token=token, **parameters)


def error_of(answer: Any) -> tuple[int, str]:
    """Return status and error of RFC 6749 section 5.2, and assert that the response is well formed."""
    assert answer["Cache-Control"] == "no-store"
    assert answer["Content-Type"] == "application/json"
    assert set(answer.json()) <= {"error", "error_description"}
    return answer.status_code, answer.json()["error"]


def get(client: Client, token: str, path: str = "/both", *, scheme: str = "Bearer", proof: str | None = None) -> Any:
    headers: dict[str, Any] = {} if proof is None else {"HTTP_DPOP": proof}
    return client.get(path, HTTP_AUTHORIZATION=f"{scheme} {token}", **headers)


def works(client: Client, token: str, **how: Any) -> bool:
    """Return whether a token is accepted; a status other than 200 or 401 is an error."""
    answer = get(client, token, **how)
    assert answer.status_code in (200, 401), answer.content
    return bool(answer.status_code == 200)


def said(token: str) -> dict[str, Any]:
    """Return the claims of an access token, without a check of its signature."""
    return dict(jwt.decode(token, options={"verify_signature": False}))


def prove(path: str, method: str = "GET", *, token: str | None = None, by: Signer = ES256, **changed: Any) -> str:
    """Return a new DPoP proof for a request to `path`, with `token` if the request carries one; `changed` replaces
    claims.
    """
    claims = {
        "htm": method,
        "htu": f"https://testserver{path}",
        "iat": int(clock.now().timestamp()),
        "jti": uuid.uuid4().hex,
        "ath": ABSENT if token is None else access_token_hash(token),
    }
    return by.proof(**{**claims, **changed})
