"""Authlib and requests-oauthlib through the demo's nginx."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest

from demo_project.stack import Stack
from tests.acceptance.clients.python import (
    CERTIFICATE,
    REFUSALS,
    Authlib,
    PythonClient,
    RequestsOAuthlib,
    Token,
)

Caller = Callable[..., PythonClient]


@pytest.fixture(params=[Authlib, RequestsOAuthlib], ids=["Authlib", "requests-oauthlib"])
def caller(request: pytest.FixtureRequest, stack: Stack) -> Iterator[Caller]:
    """`caller("alice")` has alice's certificate; `caller("bob", "alice")` has bob's certificate and
    claims to be alice.
    """
    made: list[PythonClient] = []

    def caller(certificate: str | None, client_id: str | None = None) -> PythonClient:
        made.append(request.param(stack, certificate, client_id or certificate))
        return made[-1]

    yield caller
    for each in made:
        each.session.close()


def read(client: PythonClient, token: Token, path: str = "/api/reports") -> Any:
    """Read a resource with `token` through `client`."""
    client.session.token = token
    return client.session.get(client.url + path)


def refusal(call: Callable[..., Any], *arguments: Any, **parameters: str) -> str:
    """Make a call that must be refused, and return the error as the library reports it."""
    with pytest.raises(REFUSALS) as caught:
        call(*arguments, **parameters)
    return str(caught.value.error)


def claims(token: Token) -> dict[str, Any]:
    return dict(jwt.decode(token["access_token"], options={"verify_signature": False}))


def test_client_credentials_are_bound_to_the_certificate(caller: Caller) -> None:
    service = caller("service")
    token = service.obtain("client_credentials")
    whoami = read(service, token, "/api/whoami").json()
    assert (whoami["user"], whoami["token"]) == ("service", claims(token)["jti"])
    assert claims(token)["cnf"] == {"x5t#S256": whoami["certificate"]["thumbprint"]}
    assert token["token_type"] == "Bearer"
    assert "refresh_token" not in token
    assert read(service, token).status_code == 200


def test_a_certificate_is_exchanged_for_tokens_that_are_replaced(caller: Caller) -> None:
    alice = caller("alice")
    first = alice.obtain(CERTIFICATE)
    assert read(alice, first, "/api/whoami").json()["user"] == "alice"
    second = alice.refresh(first)
    assert second["refresh_token"] != first["refresh_token"]
    assert [read(alice, token).status_code for token in (first, second)] == [200, 200]


def test_an_expired_token_is_renewed_by_the_library(caller: Caller) -> None:
    alice = caller("alice")
    first = alice.obtain(CERTIFICATE)
    renewed = alice.expire()
    assert alice.session.get(f"{alice.url}/api/reports").status_code == 200
    (second,) = renewed
    assert second["refresh_token"] != first["refresh_token"]


def test_a_lost_answer_can_be_asked_for_again(caller: Caller) -> None:
    alice = caller("alice")
    first = alice.obtain(CERTIFICATE)
    lost = alice.refresh(first)
    newest = alice.refresh(alice.refresh(first))
    assert read(alice, newest).status_code == 200
    # The token of the lost answer was replaced: only a thief can still use it, so its use ends the family.
    assert refusal(alice.refresh, lost) == "invalid_grant"
    assert read(alice, newest).status_code == 401


def test_a_replaced_refresh_token_ends_the_family(caller: Caller) -> None:
    alice = caller("alice")
    first = alice.obtain(CERTIFICATE)
    second = alice.refresh(first)
    third = alice.refresh(second)
    assert read(alice, third).status_code == 200
    assert refusal(alice.refresh, first) == "invalid_grant"
    assert refusal(alice.refresh, third) == "invalid_grant"
    assert [read(alice, token).status_code for token in (first, second, third)] == [401, 401, 401]


def test_what_is_revoked_is_refused(caller: Caller) -> None:
    alice, bob = caller("alice"), caller("bob")
    first = alice.obtain(CERTIFICATE)
    assert bob.revoke(first["access_token"]).status_code == 200
    assert read(alice, first).status_code == 200
    assert alice.revoke(first["access_token"]).status_code == 200
    assert read(alice, first).status_code == 401
    second = alice.refresh(first)
    assert alice.revoke(second["refresh_token"]).status_code == 200
    assert read(alice, second).status_code == 401
    assert refusal(alice.refresh, second) == "invalid_grant"


def test_introspection_tells_whom_it_concerns(caller: Caller, backoffice: str) -> None:
    alice, bob, entitled = caller("alice"), caller("bob"), caller("service", backoffice)
    token = alice.obtain(CERTIFICATE)
    own = alice.introspect(token["access_token"])
    assert (own["active"], own["username"], own["cnf"]) == (True, "alice", claims(token)["cnf"])
    assert entitled.introspect(token["access_token"]) == own
    assert alice.introspect(token["refresh_token"])["active"] is True
    assert bob.introspect(token["access_token"]) == {"active": False}
    alice.revoke(token["refresh_token"])
    assert alice.introspect(token["access_token"]) == alice.introspect(token["refresh_token"]) == {"active": False}


def test_a_refused_scope_uses_up_nothing(caller: Caller) -> None:
    alice = caller("alice")
    token = alice.obtain(CERTIFICATE)
    alice.session.scope = ["everything"]  # the scope that both libraries send at every refresh
    assert refusal(alice.refresh, token) == "invalid_scope"
    assert alice.introspect(token["refresh_token"])["active"] is True


def test_a_registered_client_keeps_its_refresh_token(caller: Caller, backoffice: str) -> None:
    client = caller("service", backoffice)
    first = client.obtain(CERTIFICATE, scope="reports.read")
    second = client.refresh(first)
    # Without a refresh token in the response, both libraries keep the old one (RFC 6749 section 6).
    assert second["refresh_token"] == first["refresh_token"]
    assert claims(second)["scope"] == "reports.read"
    assert refusal(client.obtain, "client_credentials", scope="everything") == "invalid_scope"


@pytest.mark.parametrize(
    ("certificate", "client_id", "error"),
    [("bob", "bob", "invalid_grant"), ("bob", "alice", "invalid_client"), (None, "alice", "invalid_client")],
    ids=["bob", "bob-as-alice", "nobody-as-alice"],
)
def test_stolen_tokens_are_worth_nothing(caller: Caller, certificate: str | None, client_id: str, error: str) -> None:
    alice, thief = caller("alice"), caller(certificate, client_id)
    token = alice.obtain(CERTIFICATE)
    refused = read(thief, token)
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    assert refusal(thief.refresh, token) == error
    # The thief's attempt did not end the owner's session.
    assert read(alice, token).status_code == 200
    assert read(alice, alice.refresh(token)).status_code == 200
