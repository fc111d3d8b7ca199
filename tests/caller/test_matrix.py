"""Every credential beside every other one, in views of every kind."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from securecore import clock
from securecore.grants import grant, principal_of
from tests.caller.credential_urls import MAKE, ORDERS
from tests.caller.stage import Stage, Token, answer

pytestmark = pytest.mark.urls("tests.caller.credential_urls")

CERTIFICATES = (None, "alice", "bob", "nobody")
SESSIONS = ("", "good", "bob", "stolen", "expired")
TOKENS = {
    "none": None,
    **{f"bearer, {state}": Token(state=state) for state in ("good", "expired", "revoked", "forged")},
    "bearer, of bob's certificate": Token(certificate="bob"),
    "bearer, of nobody's certificate": Token(certificate="nobody"),
    **{
        f"DPoP, {state}": Token("dpop", state)
        for state in ("good", "expired", "revoked", "forged", "no proof", "another key")
    },
    "DPoP, obtained under bob's certificate": Token("dpop", certificate="bob"),
    **{f"simplejwt, {state}": Token("simplejwt", state) for state in ("good", "expired", "revoked", "forged")},
}


def session_user(session: str) -> str:
    return {"good": "alice", "bob": "bob"}.get(session, "")


def refusal_of(token: Token, certificate: str | None, session: str) -> str:
    """Return the code of the refusal of this token beside these credentials, or an empty string."""
    if token.state in ("no proof",):
        return "invalid-dpop-proof"
    if token.state != "good" or (token.kind == "bearer" and token.certificate != certificate):
        return "invalid-token"
    if session_user(session) not in ("", "alice"):
        return "credentials-conflict"
    if token.kind == "bearer" or certificate in (None, "alice", "nobody"):
        return ""
    return "" if token.kind == "dpop" and token.certificate == certificate else "credentials-conflict"


def of_api(certificate: str | None, session: str, token: Token | None) -> str:
    """Return the caller of a REST framework view that accepts every credential."""
    if token is not None:
        return refusal_of(token, certificate, session) or "alice"
    if session_user(session):
        return session_user(session)
    if certificate == "nobody":
        return "certificate-unknown"
    if certificate is None and session == "stolen":
        return "session-refused"
    return certificate or "authentication-required"


def of_plain_view(certificate: str | None, session: str, token: Token | None) -> str:
    """Return ``request.user`` of a plain Django view, where no class accepts a token."""
    if token is not None and token.kind != "simplejwt":
        refusal = refusal_of(token, certificate, session)
        if refusal:
            return refusal
        if not session_user(session) and certificate == "bob":
            return "credentials-conflict"
    return session_user(session)


def acting(user: str, certificate: str | None) -> str:
    """Return the user of the grants that ``@requires`` reads in a plain view."""
    if user in ("", "alice", "bob"):
        return user or (certificate if certificate != "nobody" else None) or ("" if certificate else "nobody at all")
    return user


@pytest.mark.parametrize("name", TOKENS)
def test_one_caller(stage: Stage, name: str) -> None:
    token = TOKENS[name]
    if token is not None:
        stage.keep(token)
    for each in stage.users.values():
        grant(principal=principal_of(each), permission=MAKE, now=clock.now())
    expected: dict[Any, str] = {}
    found: dict[Any, str] = {}
    for certificate, session in product(CERTIFICATES, SESSIONS):
        client = stage.client(certificate, session)
        presented = (certificate, session)
        for path in [*(f"/who/{order}" for order in ORDERS), "/granted"]:
            expected[(*presented, path)] = of_api(*presented, token)
            found[(*presented, path)] = answer(stage.get(client, path, token))
        user = of_plain_view(*presented, token)
        for path in ("/plain", "/async"):
            expected[(*presented, path)] = user
            found[(*presented, path)] = answer(stage.get(client, path, token))
        expected[(*presented, "/requires")] = _required(stage, acting(user, certificate))
        found[(*presented, "/requires")] = _principal(stage.get(client, "/requires", token))
        expected[(*presented, "/healthz")] = "200"
        found[(*presented, "/healthz")] = str(stage.get(client, "/healthz", token).status_code)
    assert {each: (found[each], expected[each]) for each in expected if found[each] != expected[each]} == {}


def _required(stage: Stage, user: str) -> str:
    if user in stage.users:
        return principal_of(stage.users[user])
    return {"": "permission-denied", "nobody at all": "authentication-required"}.get(user, user)


def _principal(response: Any) -> str:
    body = response.json()
    return str(body["code"] if "code" in body else body["principals"][0])
