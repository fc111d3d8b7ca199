"""``@fresh(proof="dpop")``: a token bound to a key, and that key's proof of this request (RFC 9449)."""

from __future__ import annotations

from typing import Any

import pytest

from securecore.replay import server_nonce
from tests.replay.proofs import ED25519, ES256
from tests.support.views import effects
from tests.tokens.calls import given, prove

pytestmark = [pytest.mark.urls("tests.replay.urls"), pytest.mark.django_db(transaction=True)]
PLACES = ["/dpop", "/dpop/handler"]


@pytest.fixture
def client(mtls_client: Any) -> Any:
    return mtls_client("alice")


@pytest.fixture
def token(client: Any) -> str:
    return str(given(client, proof=prove("/oauth/token", "POST"))["access_token"])


def post(client: Any, path: str, **headers: str) -> Any:
    return client.post(path, headers=headers)


@pytest.mark.parametrize("path", PLACES)
class TestFreshByProof:
    def test_fresh_by_proof_serves_a_request_once(self, client: Any, token: str, path: str) -> None:
        headers = {"Authorization": f"DPoP {token}", "DPoP": prove(path, "POST", token=token)}
        assert post(client, path, **headers).status_code == 201
        assert refusal(post(client, path, **headers)) == "invalid_dpop_proof"
        assert effects() == 1

    def test_fresh_by_proof_serves_another_proof(self, client: Any, token: str, path: str) -> None:
        for _ in range(2):
            headers = {"Authorization": f"DPoP {token}", "DPoP": prove(path, "POST", token=token)}
            assert post(client, path, **headers).status_code == 201

    def test_fresh_by_proof_needs_a_proof(self, client: Any, token: str, path: str) -> None:
        assert refusal(post(client, path, Authorization=f"DPoP {token}")) == "invalid_dpop_proof"

    def test_fresh_by_proof_needs_the_token_with_it(self, client: Any, path: str) -> None:
        """A proof alone proves some key, and every client can make a key."""
        assert refusal(post(client, path, DPoP=prove(path, "POST"))) == "invalid_dpop_proof"

    @pytest.mark.parametrize("scheme", ["Bearer", "Basic", "DPoPx", ""])
    def test_fresh_by_proof_needs_the_scheme_that_says_so(
        self, client: Any, token: str, path: str, scheme: str
    ) -> None:
        """Under the Bearer scheme the token is not compared with the proof (RFC 9449 section 7.2)."""
        for proof in (prove(path, "POST"), prove(path, "POST", token=token)):
            answer = post(client, path, Authorization=f"{scheme} {token}", DPoP=proof)
            assert (refusal(answer) == "invalid_dpop_proof") if path == "/dpop" else (answer.status_code == 401)
        assert effects() == 0

    def test_fresh_by_proof_needs_the_proof_of_the_token_s_key(self, client: Any, token: str, path: str) -> None:
        headers = {"Authorization": f"DPoP {token}", "DPoP": prove(path, "POST", token=token, by=ED25519)}
        assert refusal(post(client, path, **headers)) == "invalid_token"
        assert effects() == 0

    @pytest.mark.parametrize(("claim", "value"), [("iat", 1), ("htm", "GET"), ("ath", "A" * 43)])
    def test_fresh_by_proof_refuses_a_wrong_or_stale_proof(
        self, client: Any, token: str, path: str, claim: str, value: Any
    ) -> None:
        headers = {"Authorization": f"DPoP {token}", "DPoP": prove(path, "POST", token=token, **{claim: value})}
        assert refusal(post(client, path, **headers)) == "invalid_dpop_proof"

    def test_fresh_by_proof_gives_the_nonce_that_it_wants(
        self, client: Any, token: str, path: str, settings: Any, now: Any
    ) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "DPOP_NONCE_REQUIRED": True}
        headers = {"Authorization": f"DPoP {token}", "DPoP": prove(path, "POST", token=token)}
        first = post(client, path, **headers)
        assert refusal(first) == "use_dpop_nonce"
        assert first["DPoP-Nonce"] == server_nonce.current(now)
        headers["DPoP"] = prove(path, "POST", token=token, by=ES256, nonce=first["DPoP-Nonce"])
        assert post(client, path, **headers).status_code == 201


def refusal(response: Any) -> str:
    """Return the error of the challenge (RFC 9449 section 7.1)."""
    assert response.status_code == 401
    scheme, _, error = response["WWW-Authenticate"].partition(', error="')
    assert scheme.startswith('DPoP realm="api", algs="')
    return str(error.rstrip('"'))
