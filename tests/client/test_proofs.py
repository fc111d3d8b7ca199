"""The verifiers of securecore.replay accept the client's proofs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from securecore import clock
from securecore.digests import jwk_thumbprint
from securecore.identity import parse_pem
from securecore.replay import parse_timestamp, verify_proof, verify_signature
from securecore.testing import Issued
from securecore_client import DPoP, MessageSignature, Proof, TimestampNonce
from securecore_client.wire.message_signatures import Request
from tests.client.conftest import Received, Script
from tests.support.rsa_keys import rsa_key

KEYS: dict[str, Any] = {
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "RSA": rsa_key(2048),
}
NONCE = "a nonce of the server"
Call = Callable[..., Any]


@pytest.fixture(params=KEYS)
def key(request: pytest.FixtureRequest) -> Any:
    return KEYS[request.param]


def verified(received: Received, script: Script, key: Any) -> Any:
    """Return the verifier's result for a request with the signature of `key`."""
    message = Request(received.method, f"{script.url}{received.target}", received.headers)
    return verify_signature(message, body=received.body, key_of=lambda keyid: key.public_key(), now=clock.now())


class TestTimestampNonce:
    def test_timestamp_nonce_is_accepted(self, call: Call, script: Script) -> None:
        call(TimestampNonce()).request("POST", "/payouts", content=b"{}")
        [received] = script.received
        made_at = parse_timestamp(received.headers["x-request-timestamp"], now=clock.now())
        assert clock.now() - made_at < dt.timedelta(seconds=20)
        assert len(received.headers["x-request-nonce"]) >= 16

    def test_timestamp_nonce_is_new_every_time(self, call: Call, script: Script) -> None:
        caller = call(TimestampNonce())
        for _ in range(3):
            caller.request("GET", "/")
        assert len({received.headers["x-request-nonce"] for received in script.received}) == 3


class TestMessageSignature:
    @pytest.mark.parametrize("target", ["/", "/a/b?c=d&e=%2F", "/caf%C3%A9%20b?q=%C3%BC+x", "/a//b/;x=1?", "/?a=b?c"])
    @pytest.mark.parametrize(("method", "content"), [("GET", None), ("POST", b'{"a": 1}'), ("POST", b""), ("PUT", "é")])
    def test_message_signature_is_accepted(
        self, call: Call, script: Script, method: str, content: Any, target: str
    ) -> None:
        key = KEYS["P-256"]
        call(MessageSignature(key, "k1")).request(method, target, content=content)
        [received] = script.received
        assert verified(received, script, key).keyid == "k1"
        assert ("content-digest" in received.headers) is bool(content)

    def test_message_signature_is_accepted_of_every_key(self, call: Call, script: Script, key: Any) -> None:
        call(MessageSignature(key, "k1")).request("POST", "/", content=b"{}")
        assert verified(script.received[0], script, key)

    def test_message_signature_signs_what_is_read_piece_by_piece(self, call: Call, script: Script) -> None:
        key = KEYS["Ed25519"]
        call(MessageSignature(key, "k1")).request("POST", "/", content=iter([b"one ", b"two"]))
        [received] = script.received
        verified(received, script, key)
        assert received.body == b"one two"

    def test_message_signature_covers_the_key_and_the_token_that_go_with_it(self, call: Call, script: Script) -> None:
        key = KEYS["Ed25519"]
        caller = call(DPoP(KEYS["P-256"], "a.token"), MessageSignature(key, "k1"), idempotency_keys=True)
        caller.request("POST", "/", content=b"{}")
        [received] = script.received
        assert verified(received, script, key)
        for name in ("idempotency-key", "authorization"):
            assert f'"{name}"' in received.headers["signature-input"]

    def test_message_signature_is_of_the_certificate(
        self, tmp_path: Path, call: Call, script: Script, certificate_for: Callable[[str], Issued]
    ) -> None:
        alice = certificate_for("alice")
        (tmp_path / "alice.pem").write_text(alice.pem)
        (tmp_path / "alice.key").write_text(alice.key_pem)
        signature = MessageSignature.of_certificate(tmp_path / "alice.pem", str(tmp_path / "alice.key"))
        call(signature).request("GET", "/")
        assert verified(script.received[0], script, alice.key).keyid == parse_pem(alice.pem).thumbprint

    def test_key_of_another_certificate_is_refused(
        self, tmp_path: Path, certificate_for: Callable[[str], Issued]
    ) -> None:
        (tmp_path / "alice.pem").write_text(certificate_for("alice").pem)
        with pytest.raises(ValueError, match=r"alice\.pem"):
            MessageSignature.of_certificate(tmp_path / "alice.pem", KEYS["P-256"])


class TestDPoP:
    def verified(self, received: Received, script: Script, token: str | None, *, nonce: bool = False) -> Any:
        url = f"{script.url}{received.target}"
        return verify_proof(
            received.headers["dpop"],
            method=received.method,
            url=url,
            access_token=token,
            now=clock.now(),
            nonce_required=nonce,
        )

    def test_d_po_p_is_accepted_of_every_key(self, call: Call, script: Script, key: Any) -> None:
        call(DPoP(key, "a.token")).request("POST", "/things?x=1", content=b"{}")
        [received] = script.received
        proof = self.verified(received, script, "a.token")
        assert proof.jkt == jwk_thumbprint(jwt.get_unverified_header(received.headers["dpop"])["jwk"])
        assert received.headers["authorization"] == "DPoP a.token"

    def test_d_po_p_is_without_a_token_for_the_token_endpoint(self, call: Call, script: Script) -> None:
        call(DPoP(KEYS["P-256"])).request("POST", "/oauth/token", content=b"grant_type=x")
        assert self.verified(script.received[0], script, None)
        assert "authorization" not in script.received[0].headers

    def test_d_po_p_asks_for_the_current_token(self, call: Call, script: Script) -> None:
        tokens = iter(["first.token", "second.token"])
        caller = call(DPoP(KEYS["P-256"], lambda: next(tokens)))
        for token in ("first.token", "second.token"):
            caller.request("GET", "/")
            assert self.verified(script.received[-1], script, token)

    @pytest.mark.parametrize(
        "wanted",
        [
            (401, {"DPoP-Nonce": NONCE, "WWW-Authenticate": 'DPoP error="use_dpop_nonce"'}),
            (400, {"DPoP-Nonce": NONCE, "body": '{"error": "use_dpop_nonce"}'}),
        ],
    )
    def test_d_po_p_sends_it_again_with_the_nonce_that_is_wanted(self, call: Call, script: Script, wanted: Any) -> None:
        """RFC 9449 sections 8 and 9. This covers an unsafe request without a key, since the refusal proves that it had
        no effect.
        """
        script.answers = [wanted]
        caller = call(DPoP(KEYS["P-256"], "a.token"))
        assert caller.request("POST", "/", content=b"{}").status_code == 200
        first, second = [
            jwt.decode(each.headers["dpop"], options={"verify_signature": False}) for each in script.received
        ]
        assert ("nonce" in first, second["nonce"]) == (False, NONCE)
        assert first["jti"] != second["jti"]
        assert caller.waits == []

    def test_d_po_p_asks_again_once(self, call: Call, script: Script) -> None:
        wanted = (401, {"DPoP-Nonce": NONCE, "WWW-Authenticate": 'DPoP error="use_dpop_nonce"'})
        script.answers = [wanted] * 3
        assert call(DPoP(KEYS["P-256"], "a.token")).request("POST", "/").status_code == 401
        assert len(script.received) == 2

    @pytest.mark.parametrize("status", [200, 400, 401])
    def test_d_po_p_takes_a_nonce_from_any_answer(self, call: Call, script: Script, status: int) -> None:
        """RFC 9449 section 8.2."""
        script.answers = [(status, {"DPoP-Nonce": NONCE})]
        caller = call(DPoP(KEYS["P-256"], "a.token"))
        caller.request("POST", "/")
        assert len(script.received) == 1
        caller.request("POST", "/")
        assert jwt.decode(script.received[1].headers["dpop"], options={"verify_signature": False})["nonce"] == NONCE


@pytest.mark.parametrize("proof", [TimestampNonce(), MessageSignature(KEYS["P-256"], "k"), DPoP(KEYS["P-256"], "a.t")])
class TestElsewhere:
    def test_elsewhere_nobody_else_gets_a_proof(self, call: Call, script: Script, proof: Proof) -> None:
        call(proof, service="https://pay.example").request("GET", "/")
        assert not {"x-request-nonce", "signature", "dpop", "authorization"} & script.received[0].headers.keys()

    def test_elsewhere_a_name_that_begins_alike_is_another_s(self, call: Call, script: Script, proof: Proof) -> None:
        call(proof, service=script.url[:-1]).request("GET", "/")
        assert not {"x-request-nonce", "signature", "dpop", "authorization"} & script.received[0].headers.keys()

    def test_elsewhere_a_redirect_is_proven_anew(self, call: Call, script: Script, proof: Proof) -> None:
        script.answers = [(307, {"Location": f"{script.url}/there"})]
        caller = call(proof)
        response = caller.request("GET", "/here")
        if response.status_code == 307:  # httpx follows a redirect only on demand
            response = caller.request("GET", "/there")
        assert response.status_code == 200
        first, second = (each.headers for each in script.received)
        names = {"x-request-nonce", "signature", "dpop"} & first.keys()
        assert names
        assert all(first[name] != second[name] for name in names)


class TestKeyThatNoServiceAccepts:
    """The program learns it at its start, and not at the first request."""

    @pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP256K1()])
    def test_key_that_no_service_accepts_is_refused_for_dpop(self, curve: ec.EllipticCurve) -> None:
        with pytest.raises(ValueError, match=r"key for .* is of P-256"):
            DPoP(ec.generate_private_key(curve))

    @pytest.mark.parametrize("make", [DPoP, lambda key: MessageSignature(key, "k")])
    def test_key_that_no_service_accepts_is_refused_if_it_is_weak(self, make: Callable[[Any], Proof]) -> None:
        with pytest.raises(ValueError, match="RSA with 2048 to 4096 bits"):
            make(rsa_key(1024))
