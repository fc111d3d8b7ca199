"""An AWS Application Load Balancer in both modes, with the headers of its documentation ("Mutual authentication with
TLS in
Application Load Balancer", section "HTTP headers and mutual TLS", read in November 2026).

The documentation specifies PEM, URL-encoded with ``+=/`` as safe characters, with a line break at the end; in
passthrough
mode the whole chain, from the leaf to the root. Its examples are cut short ("<...reduced...>"), and their padding is
``%3D``, against the text above them. So both spellings are tested.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from securecore.events import HeaderForged
from securecore.identity import parse_pem
from securecore.testing import Authority, Issued, MutualTLSClient
from securecore.testing.authority import DAY
from tests.events.recorder import of_kind, recorded
from tests.identity.conftest import Chain
from tests.identity.test_proxy import TCP, refusal_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]

BEGIN, END = "-----BEGIN%20CERTIFICATE-----%0A", "%0A-----END%20CERTIFICATE-----%0A"
#: The other four headers of mode "verify", as the documentation prints them.
PRINTED = {
    "X-Amzn-Mtls-Clientcert-Serial-Number": "03A5B1",
    "X-Amzn-Mtls-Clientcert-Issuer": "CN=rootcamtls.com,OU=rootCA,O=mTLS,L=Seattle,ST=Washington,C=US",
    "X-Amzn-Mtls-Clientcert-Subject": "CN=client_.com,OU=client-3,O=mTLS,ST=Washington,C=US",
    "X-Amzn-Mtls-Clientcert-Validity": "NotBefore=2023-09-21T01:50:17Z;NotAfter=2024-09-20T01:50:17Z",
}


def as_documented(*chain: Issued) -> str:
    return "".join(quote(each.pem, safe="+=/") for each in chain)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as the text says": str,
    "as the example is": lambda value: value.replace("=", "%3D"),
    "everything encoded": lambda value: value.replace("=", "%3D").replace("+", "%2B").replace("/", "%2F"),
}


def whoami(headers: dict[str, str], **peer: str) -> Any:
    client = MutualTLSClient()
    client.defaults = peer or TCP
    return client.get("/seen", headers=headers)


def with_plus(issue: Callable[[], Issued]) -> Issued:
    """A certificate with all three safe characters in its base64. Some certificates lack ``+``, ``/`` or padding."""
    return next(each for each in (issue() for _ in range(200)) if set("+/=") <= set(each.base64))


@pytest.fixture
def alice(users: Any, certificate_for: Callable[[str], Issued]) -> Issued:
    return certificate_for("alice")


class TestVerify:
    @pytest.fixture(autouse=True)
    def source(self, settings: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "CERTIFICATE_SOURCE": "aws-alb"}

    @pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
    def test_verify_leaf_is_read(self, ca: Authority, spell: Callable[[str], str]) -> None:
        issued = with_plus(lambda: ca.issue("new"))
        value = as_documented(issued)
        assert value.startswith(BEGIN)
        assert value.endswith(END)
        with recorded() as events:
            seen = whoami({"X-Amzn-Mtls-Clientcert-Leaf": spell(value), **PRINTED}).json()
        assert seen["thumbprint"] == parse_pem(issued.pem).thumbprint
        assert not [name for name in seen["meta"] if "MTLS" in name]
        assert of_kind(events, HeaderForged) == []

    def test_verify_what_else_it_says_is_no_identity(self, alice: Issued) -> None:
        assert whoami(PRINTED).json()["thumbprint"] is None

    def test_verify_words_of_the_other_mode_are_forged(self, alice: Issued) -> None:
        with recorded() as events:
            assert whoami({"X-Amzn-Mtls-Clientcert": as_documented(alice)}).json()["user"] is None
        assert [event.headers for event in of_kind(events, HeaderForged)] == [("HTTP_X_AMZN_MTLS_CLIENTCERT",)]

    def test_verify_chain_is_no_leaf(self, alice: Issued, ca: Authority) -> None:
        headers = {"X-Amzn-Mtls-Clientcert-Leaf": as_documented(alice, ca.issue("other"))}
        assert refusal_of(whoami(headers)) == (400, "certificate-malformed")

    def test_verify_address_alone_is_nobody(self, alice: Issued) -> None:
        """The balancer can send no secret of the application. The program between the balancer and the application
        sends one.
        """
        headers = {"X-Amzn-Mtls-Clientcert-Leaf": as_documented(alice)}
        assert whoami(headers).json()["user"] == "alice"
        assert whoami(headers, REMOTE_ADDR="10.1.2.3").json()["user"] is None


class TestPassthrough:
    """The balancer verifies nothing, so only CERTIFICATE_AUTHORITIES decides about the chain."""

    @pytest.fixture
    def chain(self, settings: Any, tmp_path: Path) -> Chain:
        chain = Chain()
        (tmp_path / "root.pem").write_text(chain.root.pem)
        more = {"CERTIFICATE_SOURCE": "aws-alb-passthrough", "CERTIFICATE_AUTHORITIES": str(tmp_path / "root.pem")}
        settings.SECURECORE = {**settings.SECURECORE, **more}
        return chain

    @pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
    @pytest.mark.parametrize("with_root", [True, False])
    def test_passthrough_chain_is_read_and_verified(
        self, chain: Chain, spell: Callable[[str], str], with_root: bool
    ) -> None:
        """The documentation says that the chain includes the root. Most clients send it without the root."""
        issued = with_plus(lambda: chain.issue("new"))
        value = as_documented(issued, chain.intermediate, *([chain.root] if with_root else []))
        assert value.count(BEGIN) == value.count(END) == 2 + with_root
        seen = whoami({"X-Amzn-Mtls-Clientcert": spell(value)}).json()
        assert seen["thumbprint"] == parse_pem(issued.pem).thumbprint

    def test_passthrough_another_authority_vouches_for_nothing(self, chain: Chain) -> None:
        other = Chain()
        for presented in (
            [other.issue("alice"), other.intermediate, other.root],
            [other.issue("alice"), chain.intermediate, chain.root],
            [chain.issue("alice")],
            [chain.intermediate, chain.root],
        ):
            headers = {"X-Amzn-Mtls-Clientcert": as_documented(*presented)}
            assert refusal_of(whoami(headers)) == (403, "certificate-not-verified")

    def test_passthrough_expired_is_refused(self, chain: Chain) -> None:
        now = chain.authority.now
        old = chain.issue("alice", not_before=now - DAY, not_after=now - DAY / 2)
        headers = {"X-Amzn-Mtls-Clientcert": as_documented(old, chain.intermediate)}
        assert refusal_of(whoami(headers)) == (403, "certificate-expired")

    def test_passthrough_words_of_the_other_mode_are_forged(self, chain: Chain, alice: Issued) -> None:
        with recorded() as events:
            seen = whoami({"X-Amzn-Mtls-Clientcert-Leaf": as_documented(alice), **PRINTED}).json()
        assert seen["user"] is None
        assert len(of_kind(events, HeaderForged)[0].headers) == 5
