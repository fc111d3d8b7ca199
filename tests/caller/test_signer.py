"""Signatures, proofs and nonces belong to the caller, for every credential of the request (M9)."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from securecore import clock
from securecore.http.authorization.caller import nonce_scope
from securecore.replay import signature_keys
from securecore_client.wire.content_digest import content_digest
from securecore_client.wire.message_signatures import Request
from tests.caller.stage import Stage, Token, answer
from tests.replay.signing import P256, public_pem, signed

pytestmark = pytest.mark.urls("tests.caller.credential_urls")

BODY = b'{"amount": 1}'
PLACES = ["/signed", "/signed/handler"]


class Signer:
    """Sends requests that the key of a certificate, or a registered one, has signed."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def __call__(
        self, path: str, certificate: str, *, session: str = "", token: Token | None = None, **how: Any
    ) -> str:
        client = self.stage.client(certificate, session)
        now = int(clock.now().timestamp())
        described: dict[str, Any] = {"created": now, "expires": now + 60, "nonce": uuid.uuid4().hex}
        key = how.pop("key", None) or self.stage.ca.certificate_for(certificate).key
        described["keyid"] = how.pop("keyid", None) or self.stage.thumbprint(certificate)
        present = {"content-digest": content_digest(BODY), "content-type": "application/json"}
        headers = self.stage.headers(token, path, "POST")
        if token is not None:
            present["authorization"] = headers["HTTP_AUTHORIZATION"]
        covered = ("@method", "@target-uri", "@authority", *present)
        request = signed(covered, key=key, request=Request("POST", f"https://testserver{path}", present), **described)
        proof = {"dpop": headers["HTTP_DPOP"]} if "HTTP_DPOP" in headers else {}
        response = client.post(path, data=BODY, content_type="application/json", headers={**request.fields, **proof})
        return answer(response)


@pytest.fixture
def send(stage: Stage) -> Signer:
    signature_keys.register(keyid="alice's", user=stage.users["alice"], public_key=public_pem(P256), now=clock.now())
    return Signer(stage)


class TestSignature:
    @pytest.mark.parametrize("path", PLACES)
    def test_signature_by_the_certificate_of_the_caller(self, send: Signer, path: str) -> None:
        name = {"/signed": "", "/signed/handler": "alice"}[path]
        assert send(path, "alice") == name
        assert send(path, "alice", session="good") == "alice"
        assert send(path, "nobody", session="good") == "alice"  # the session is bound to this certificate
        assert send(path, "bob", session="good") == "alice"

    def test_signature_by_the_certificate_that_a_token_is_bound_to(self, send: Signer) -> None:
        for token, certificate in ((Token(), "alice"), (Token(certificate="bob"), "bob"), (Token("dpop"), "alice")):
            assert send("/signed/handler", certificate, token=token) == "alice"
        assert send("/signed/handler", "alice", token=Token("simplejwt")) == "alice"

    @pytest.mark.parametrize(
        ("certificate", "token"),
        [
            ("bob", Token("dpop", certificate="bob")),
            ("nobody", Token("dpop", certificate="nobody")),
            ("nobody", Token("dpop")),
            ("nobody", Token("simplejwt")),
        ],
        ids=repr,
    )
    def test_signature_by_a_certificate_that_is_not_the_caller_s(
        self, send: Signer, certificate: str, token: Token
    ) -> None:
        """A backend under its own certificate, with a token of alice's that is bound to another key: she must sign."""
        assert send("/signed/handler", certificate, token=token) == "signature-key-unknown"
        assert send("/signed/handler", certificate, token=token, key=P256, keyid="alice's") == "alice"

    def test_signature_before_anybody_has_judged_the_token(self, send: Signer) -> None:
        """Around a view, another package's token may make another caller of it."""
        assert send("/signed", "nobody", token=Token("simplejwt")) == "signature-key-unknown"
        assert send("/signed", "nobody") == ""

    @pytest.mark.parametrize("path", PLACES)
    def test_signature_by_a_registered_key_of_somebody_else(self, send: Signer, path: str) -> None:
        assert send(path, "bob", key=P256, keyid="alice's") == "signature-key-unknown"
        assert send(path, "bob", session="bob", key=P256, keyid="alice's") == "signature-key-unknown"
        assert send(path, "bob", session="good", key=P256, keyid="alice's") == "alice"
        assert send(path, "nobody", key=P256, keyid="alice's") in ("authentication-required", "certificate-unknown")


class TestProof:
    def test_proof_of_the_token_that_the_request_is_made_by(self, stage: Stage) -> None:
        def send(token: Token, certificate: str, session: str = "") -> str:
            client = stage.client(certificate, session)
            return answer(client.post("/proven", **stage.headers(token, "/proven", "POST")))

        assert send(Token("dpop"), "alice") == "alice"
        assert send(Token("dpop", "revoked"), "alice") == "invalid-token"
        assert send(Token("dpop"), "bob") == "credentials-conflict"
        assert send(Token("dpop"), "alice", "bob") == "credentials-conflict"
        assert send(Token(), "alice") == "invalid-dpop-proof"
        assert answer(
            stage.client().post("/proven/by-nobody", **stage.headers(Token("dpop"), "/proven/by-nobody", "POST"))
        ) == ("invalid-token")
        client = stage.client("alice")
        proof = {"HTTP_DPOP": stage.headers(Token("dpop"), "/proven", "POST")["HTTP_DPOP"]}
        assert answer(client.post("/proven", **proof)) == "invalid-dpop-proof"

    @pytest.mark.parametrize(
        ("state", "certificate", "code"),
        [
            ("good", "alice", ""),
            ("good", None, ""),
            ("good", "bob", "credentials-conflict"),
            ("revoked", "alice", "invalid-token"),
            ("another key", "alice", "invalid-token"),
        ],
    )
    def test_proof_is_judged_in_a_plain_view_that_asks_for_no_user(
        self, stage: Stage, state: str, certificate: str | None, code: str
    ) -> None:
        headers = stage.headers(Token("dpop", state), "/proven/plain", "POST")
        assert answer(stage.client(certificate).post("/proven/plain", **headers)) == code


class TestNonce:
    def once(
        self, stage: Stage, certificate: str | None, token: Token | None, encoded: str = "", session: str = ""
    ) -> str:
        client = stage.client(certificate, session)
        headers = stage.headers(token, "/once", "POST") if token else {}
        if encoded:
            headers["HTTP_AUTHORIZATION"] = f"Bearer {encoded}"
        fresh: dict[str, Any] = {
            "HTTP_X_REQUEST_NONCE": "n" * 16,
            "HTTP_X_REQUEST_TIMESTAMP": str(int(clock.now().timestamp())),
        }
        return answer(client.post("/once", **headers, **fresh))

    def test_nonce_counts_for_a_user_whose_token_comes_under_any_certificate(self, stage: Stage) -> None:
        """A thief repeats the request under a certificate of nobody's, where the nonce would be new."""
        encoded = stage.encoded(Token("simplejwt"))
        assert self.once(stage, "alice", None, encoded) == "alice"
        for certificate in ("alice", "nobody", None):
            assert self.once(stage, certificate, None, encoded) == "nonce-reused"

    def test_nonce_counts_for_a_certificate_by_itself(self, stage: Stage) -> None:
        assert self.once(stage, "alice", None) == "alice"
        assert self.once(stage, "alice", Token()) == "nonce-reused"
        assert self.once(stage, "bob", None) == "bob"

    def test_nonce_of_a_view_around_is_the_token_s(self, stage: Stage) -> None:
        """The token is not judged yet, and a repeated request carries the same token."""
        encoded = stage.encoded(Token("simplejwt"))
        scopes = {scope_of(stage, certificate, encoded) for certificate in ("alice", "nobody", None)}
        assert len(scopes) == 1
        assert scope_of(stage, "alice", stage.encoded(Token("simplejwt", "another"))) not in scopes


def scope_of(stage: Stage, certificate: str | None, encoded: str) -> str:
    response = stage.client(certificate).get("/healthz", HTTP_AUTHORIZATION=f"Bearer {encoded}")
    return nonce_scope(response.wsgi_request)
