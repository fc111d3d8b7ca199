"""A proof costs a database row only if the client has a token or authorization for its key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from securecore.models import SeenNonce
from securecore.replay import dpop, proof_key
from securecore.revocation import revoke_token, revoke_user_tokens
from securecore.testing import MutualTLSClient
from securecore.tokens import verify
from tests.replay.proofs import ED25519, ES256
from tests.tokens.calls import CERTIFICATE_GRANT, ask, error_of, get, given, prove

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.http.hostile_urls")]

PATHS = [
    "/seen",
    "/both",
    "/proof-only",
    "/protected",
    "/nowhere",
    "/oauth/jwks",
    "/replay/dpop",
    "/replay/dpop/handler",
]
Clients = Callable[..., MutualTLSClient]


@pytest.fixture(params=[False, True], ids=["autocommit", "ATOMIC_REQUESTS"], autouse=True)
def atomic_requests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", request.param)


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The list of proofs with a verified signature."""
    seen: list[Any] = []
    good = proof_key.signature_is_good

    def counting(*args: Any, **how: Any) -> bool:
        seen.append(args)
        return good(*args, **how)

    monkeypatch.setattr(dpop, "signature_is_good", counting)
    return seen


@pytest.fixture
def token(mtls_client: Clients) -> str:
    return str(given(mtls_client("alice"), proof=prove("/oauth/token", "POST"))["access_token"])


def rows() -> int:
    return SeenNonce.objects.count()


class TestStranger:
    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_stranger_costs_no_row_and_no_arithmetic(
        self, mtls_client: Clients, path: str, method: str, verifications: list[Any]
    ) -> None:
        client = mtls_client(None, raise_request_exception=False)
        for authorization in (None, "Bearer x", "Bearer a.b.c", "Basic x", "DPoP", "DPoP x", "DPoP eyJ.eyJ.eyJ"):
            headers: dict[str, Any] = {} if authorization is None else {"HTTP_AUTHORIZATION": authorization}
            answer = client.generic(method, path, HTTP_DPOP=prove(path, method, token="x"), **headers)
            assert answer.status_code < 500
        assert rows() == 0
        assert len(verifications) == 0

    def test_stranger_costs_no_row_at_the_token_endpoint(
        self, mtls_client: Clients, ca: Any, verifications: list[Any]
    ) -> None:
        for client in (mtls_client(None), MutualTLSClient(ca.issue("stranger"))):
            for grant in (CERTIFICATE_GRANT, "refresh_token", "client_credentials", "x"):
                for path in ("/oauth/token", "/oauth/revoke", "/oauth/introspect"):
                    answer = client.post(path, {"grant_type": grant}, HTTP_DPOP=prove(path, "POST"))
                    assert answer.status_code < 500
                error_of(ask(client, grant, refresh_token="x", proof=prove("/oauth/token", "POST")))
        assert rows() == 0
        assert len(verifications) == 0

    def test_stranger_with_somebody_s_token_costs_no_row(self, mtls_client: Clients, token: str) -> None:
        """An attacker that saw the token does not have its key."""
        before = rows()
        for path in PATHS:
            for method in ("GET", "POST"):
                proof = prove(path, method, token=token, by=ED25519)
                answer = mtls_client(None, raise_request_exception=False).generic(
                    method, path, HTTP_AUTHORIZATION=f"DPoP {token}", HTTP_DPOP=proof
                )
                assert answer.status_code < 500
        assert rows() == before

    @pytest.mark.parametrize("end", ["token", "user", "inactive"])
    def test_stranger_with_a_token_that_has_ended_costs_no_row(
        self, mtls_client: Clients, token: str, end: str, now: Any
    ) -> None:
        alice = User.objects.get(username="alice")
        if end == "token":
            said = verify(token, now=now)
            revoke_token(issuer=said.issuer, jti=said.jti, expires_at=said.expires_at)
        elif end == "user":
            revoke_user_tokens(alice)
        else:
            User.objects.update(is_active=False)
        before = rows()
        for path in PATHS:
            proof = prove(path, token=token)
            answer = get(mtls_client(None), token, path, scheme="DPoP", proof=proof)
            assert answer.status_code != 500
        for path in ("/replay/dpop", "/replay/dpop/handler"):
            headers = {"Authorization": f"DPoP {token}", "DPoP": prove(path, "POST", token=token)}
            assert mtls_client(None).post(path, headers=headers).status_code == 401
        assert rows() == before


class TestCaller:
    @pytest.mark.parametrize("path", ["/proof-only", "/both"])
    def test_caller_of_a_live_token_claims_once(self, mtls_client: Clients, token: str, path: str) -> None:
        before, proof = rows(), prove(path, token=token)
        answers = [get(mtls_client(None), token, path, scheme="DPoP", proof=proof) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 401, 401]
        assert rows() == before + 1

    def test_caller_stays_claimed_when_the_view_fails(self, mtls_client: Clients, token: str) -> None:
        path = "/replay/dpop"
        headers = {"Authorization": f"DPoP {token}", "DPoP": prove(path, "POST", token=token, by=ES256)}
        client = mtls_client(None, raise_request_exception=False)
        assert client.post(f"{path}?outcome=broken", headers=headers).status_code == 500
        assert client.post(path, headers=headers).status_code == 401
