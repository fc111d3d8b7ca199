"""nginx verifies, a program beside it signs, and the application accepts only headers that this program has signed."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.acceptance.proxies.contract import Contract, issued
from tests.acceptance.proxies.edge import Answer, Edge, Headers, ask
from tests.acceptance.proxies.signing_hop import Message, OneKey, Upstream, sign
from tests.acceptance.proxies.test_nginx import start
from tests.replay.signing import public_pem

HOP = Path(__file__).with_name("signing_hop.py")


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def past_the_hop(edge: Edge, headers: Headers) -> Answer:
    """Send a request to the unix socket of the service past the signing hop, as a trusted peer."""
    with contextlib.closing(Upstream(str(edge.socket))) as connection:
        return ask(connection, headers)


class TestSigning(Contract):
    source = "rfc9440"
    test_tls_is_what_mozilla_asks_for = None  # type: ignore[assignment]  # it is nginx's, seen there

    @pytest.fixture(scope="module")
    @staticmethod
    def key() -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    @pytest.fixture(scope="module")
    @staticmethod
    def edge(open_edge: Callable[..., Edge], key: ec.EllipticCurvePrivateKey) -> Edge:
        edge = open_edge("rfc9440", "signing")
        keys = [{"keyid": "edge-1", "public_key": public_pem(key)}]
        edge.environment["PROXY_SIGNATURE_KEYS"] = json.dumps(keys)
        edge.socket = edge.folder / "service.sock"
        (edge.folder / "hop.key").write_bytes(pem(key))
        command = [sys.executable, str(HOP), "app.sock", str(edge.socket), "hop.key", "edge-1"]
        edge.children.start("hop", command, environment=edge.environment)
        return start(edge)

    def signed(self, edge: Edge, key: ec.EllipticCurvePrivateKey, keyid: str = "edge-1") -> Headers:
        message = Message("GET", "https://localhost/whoami", {"Client-Cert": f":{issued(edge, 'alice').base64}:"})
        sign(message, OneKey(pem(key)), keyid)
        return [*message.headers.items(), ("X-Forwarded-Proto", "https")]

    def test_signing_past_the_hop_nothing_is_believed_unsigned(
        self, edge: Edge, key: ec.EllipticCurvePrivateKey
    ) -> None:
        good = self.signed(edge, key)
        assert past_the_hop(edge, good).body["user"] == "alice"
        unsigned = [(name, value) for name, value in good if not name.startswith("Signature")]
        by_another = self.signed(edge, ec.generate_private_key(ec.SECP256R1()))
        for headers in (unsigned, by_another, self.signed(edge, key, "edge-2"), [*good, good[0]]):
            answer = past_the_hop(edge, headers)
            assert (answer.status, answer.body["code"]) == (403, "proxy-signature-refused")

    @pytest.mark.parametrize("label", ["sig", "ttrp"])
    def test_signing_what_the_client_signs_is_its_own(self, edge: Edge, label: str) -> None:
        own = [
            ("Signature-Input", f'{label}=("@method");created=1;keyid="hers"'),
            ("Signature", f"{label}=:AAAA:"),
        ]
        assert edge.ask("alice", own).body["user"] == "alice"
        pretended = [(name, value.replace("hers", "edge-1")) for name, value in own]
        answer = edge.ask("alice", pretended)
        # The hop replaces a signature with its own label. Of two signatures that name its key, neither is accepted.
        expected = (403, "proxy-signature-refused") if label == "sig" else (200, None)
        assert (answer.status, answer.body.get("code")) == expected
