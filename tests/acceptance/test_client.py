"""securecore_client against the real stack, in each strength, with httpx and with requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from demo_project.stack import Stack
from securecore_client import DPoP, MessageSignature, Proof, TimestampNonce, mutual_tls, new_idempotency_key
from securecore_client.httpx import Transport
from securecore_client.requests import Adapter

PAYOUT = {"to": "a destination", "amount": 1}
DPOP_KEY = ec.generate_private_key(ec.SECP256R1())


@dataclass
class Caller:
    """httpx or requests, behind the calls that both have."""

    post: Callable[..., Any]
    get: Callable[..., Any]


@pytest.fixture(params=["httpx", "requests"])
def caller(request: pytest.FixtureRequest, stack: Stack) -> Iterator[Callable[..., Caller]]:
    """`caller("alice", TimestampNonce())` is a client with alice's certificate and these proofs."""
    opened: list[Any] = []

    def with_httpx(name: str, *proofs: Proof, **options: Any) -> Caller:
        tls = mutual_tls(stack.pki / f"{name}.pem", stack.pki / f"{name}.key", authorities=stack.pki / "ca.pem")
        transport = Transport(stack.url, *proofs, verify=tls, **options)
        client = httpx.Client(base_url=stack.url, transport=transport, timeout=30)
        opened.append(client)
        return Caller(client.post, client.get)

    def with_requests(name: str, *proofs: Proof, **options: Any) -> Caller:
        session = requests.Session()
        session.cert = (str(stack.pki / f"{name}.pem"), str(stack.pki / f"{name}.key"))
        session.verify = str(stack.pki / "ca.pem")
        session.mount(stack.url, Adapter(stack.url, *proofs, **options))
        opened.append(session)
        return Caller(
            lambda path, **how: session.post(stack.url + path, timeout=30, **how),
            lambda path, **how: session.get(stack.url + path, timeout=30, **how),
        )

    yield {"httpx": with_httpx, "requests": with_requests}[request.param]
    for each in opened:
        each.close()


def signature_of(stack: Stack, name: str) -> MessageSignature:
    return MessageSignature.of_certificate(stack.pki / f"{name}.pem", stack.pki / f"{name}.key")


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json().get("code", "")


def test_timestamp_and_nonce(caller: Any) -> None:
    alice = caller("alice", TimestampNonce())
    for _ in range(2):
        assert alice.post("/api/payouts", json=PAYOUT).status_code == 201


class TestSignature:
    def test_signature_is_accepted(self, caller: Any, stack: Stack) -> None:
        alice = caller("alice", signature_of(stack, "alice"))
        for _ in range(2):
            assert alice.post("/api/payouts/signed", json=PAYOUT).status_code == 201

    def test_signature_is_of_the_path_and_query_that_nginx_passed_on(self, caller: Any, stack: Stack) -> None:
        alice = caller("alice", signature_of(stack, "alice"))
        assert alice.post("/api/%70ayouts/signed?a=%2F%20b&c=+", json=PAYOUT).status_code == 201

    def test_signature_of_another_s_key_is_refused(self, caller: Any, stack: Stack) -> None:
        alice = caller("alice", signature_of(stack, "bob"))
        assert code(alice.post("/api/payouts/signed", json=PAYOUT)) == (401, "signature-key-unknown")

    def test_signature_without_one_says_what_is_wanted(self, caller: Any) -> None:
        missing = caller("alice").post("/api/payouts/signed", json=PAYOUT)
        assert code(missing) == (400, "signature-missing")
        assert missing.headers["Accept-Signature"].startswith("sig=(")

    def test_signature_captured_and_sent_again_by_sixteen_is_served_to_none(
        self, caller: Any, stack: Stack, open_client: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # httpx reports the caller's request, to which no proof was added.
        on_the_wire: list[Any] = []
        deliver = httpx.HTTPTransport.handle_request

        def recording(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
            on_the_wire.append(request)
            return deliver(transport, request)

        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", recording)
        answer = caller("alice", signature_of(stack, "alice")).post("/api/payouts/signed", json=PAYOUT)
        sent = on_the_wire[-1] if on_the_wire else answer.request
        captured = {**sent.headers}
        content = getattr(sent, "content", None) or sent.body
        alice = open_client("alice")
        with ThreadPoolExecutor(16) as pool:
            again = list(
                pool.map(lambda _: alice.post("/api/payouts/signed", headers=captured, content=content), range(16))
            )
        assert {code(each) for each in again} == {(409, "nonce-reused")}
        changed = alice.post("/api/payouts/signed", headers=captured, content=content.replace(b"1", b"9"))
        assert code(changed) == (400, "content-digest-mismatch")


def test_a_registered_key_signs_until_it_is_revoked(stack: Stack, shell: Callable[..., str]) -> None:
    key, keyid = ed25519.Ed25519PrivateKey.generate(), new_idempotency_key().strip('"')
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    shell(
        "shell",
        "-c",
        "from django.contrib.auth.models import User; from securecore import clock;"
        "from securecore.replay import signature_keys;"
        f"signature_keys.register(keyid={keyid!r}, user=User.objects.get(username='alice'),"
        f"public_key={pem!r}, now=clock.now())",
    )

    def post(name: str) -> tuple[int, str]:
        tls = mutual_tls(stack.pki / f"{name}.pem", stack.pki / f"{name}.key", authorities=stack.pki / "ca.pem")
        transport = Transport(stack.url, MessageSignature(key, keyid), verify=tls)
        with httpx.Client(base_url=stack.url, transport=transport, timeout=30) as client:
            return code(client.post("/api/payouts/signed", json=PAYOUT))

    assert post("alice") == (201, "")
    assert post("bob") == (401, "signature-key-unknown")
    shell("shell", "-c", f"from securecore.revocation import revoke_signature_key as r; assert r({keyid!r})")
    assert post("alice") == (401, "signature-key-unknown")


class TestDPoP:
    @pytest.fixture
    def token(self, caller: Any) -> str:
        form = {"grant_type": "client_credentials", "client_id": "alice"}
        answer = caller("alice", DPoP(DPOP_KEY)).post("/oauth/token", data=form)
        assert answer.status_code == 200, answer.text
        assert answer.json()["token_type"] == "DPoP"
        return str(answer.json()["access_token"])

    def test_d_po_p_is_accepted(self, caller: Any, token: str) -> None:
        alice = caller("alice", DPoP(DPOP_KEY, lambda: token))
        for _ in range(2):
            assert alice.get("/api/reports").status_code == 200
            assert alice.post("/api/payouts/proven", json=PAYOUT).status_code == 201

    def test_d_po_p_of_another_key_is_refused(self, caller: Any, token: str) -> None:
        mallory = caller("alice", DPoP(ec.generate_private_key(ec.SECP256R1()), token))
        assert code(mallory.post("/api/payouts/proven", json=PAYOUT)) == (401, "invalid-token")


class TestIdempotencyKey:
    def test_idempotency_key_the_key_of_the_caller_pays_once(self, caller: Any, stack: Stack) -> None:
        alice = caller("alice", signature_of(stack, "alice"))
        how = {"json": {"to": "bob", "amount": 1}, "headers": {"Idempotency-Key": new_idempotency_key()}}
        first, second = (alice.post("/api/transfers", **how) for _ in range(2))
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.json()["id"] == second.json()["id"]
        assert second.headers["Idempotency-Replayed"] == "true"

    def test_idempotency_key_keys_are_made_if_they_are_wanted(self, caller: Any) -> None:
        order = {"to": "bob", "amount": 1}
        assert code(caller("alice").post("/api/transfers", json=order)) == (400, "idempotency-key-missing")
        alice = caller("alice", idempotency_keys=True)
        assert {alice.post("/api/transfers", json=order).status_code for _ in range(2)} == {201}


def test_the_schema_is_valid(shell: Callable[..., str]) -> None:
    assert "/api/payouts/signed" in shell("spectacular", "--validate", "--fail-on-warn")
