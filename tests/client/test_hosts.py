"""A token and a proof go only to the service for which they were made, also after a redirect or with a Host header."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest

from securecore_client import DPoP, MessageSignature, Proof, TimestampNonce
from securecore_client.exchange import Exchange
from tests.client.conftest import Script
from tests.client.test_proofs import KEYS

OURS = {"x-request-nonce", "x-request-timestamp", "signature", "signature-input", "dpop", "authorization"}
OURS |= {"idempotency-key", "content-digest"}
Call = Callable[..., Any]

ALL: tuple[Proof, ...] = (TimestampNonce(), DPoP(KEYS["P-256"], "a.token"), MessageSignature(KEYS["Ed25519"], "k"))


def host(script: Script) -> str:
    return urlsplit(script.url).netloc


def htu(script: Script) -> str:
    return str(jwt.decode(script.received[-1].headers["dpop"], options={"verify_signature": False})["htu"])


class TestHostHeader:
    def test_host_header_of_the_service_makes_no_service_of_another_host(
        self, call: Call, script: Script, other: Script
    ) -> None:
        """The program itself sets the header, but the URL decides where the connection goes."""
        caller = call(*ALL, idempotency_keys=True)
        caller.request("POST", f"{other.url}/x", content=b"{}", headers={"Host": host(script)})
        [received] = other.received
        assert not OURS & received.headers.keys()

    @pytest.mark.parametrize("name", ["evil.example", "127.0.0.1:1", "", "localhost", "127.0.0.1"])
    def test_host_header_of_another_host_is_refused_before_anything_is_sent(
        self, call: Call, script: Script, name: str
    ) -> None:
        """The service would see another URL than the one in the proof."""
        with pytest.raises(ValueError, match="authority="):
            call(*ALL).request("GET", "/", headers={"Host": name or "x"})
        assert script.received == []

    def test_host_header_that_repeats_the_url_is_no_other(self, call: Call, script: Script) -> None:
        caller = call(*ALL)
        caller.request("GET", "/here", headers={"Host": host(script)})
        assert htu(script) == f"{script.url}/here"

    @pytest.mark.parametrize("headers", [{}, {"Host": "pay.example"}, {"Host": "PAY.example:80"}])
    def test_host_header_may_be_named_for_the_service(
        self, call: Call, script: Script, headers: dict[str, str]
    ) -> None:
        """Through a forwarded port the connection goes to the URL, and the service knows itself by another name."""
        caller = call(*ALL, authority="pay.example")
        caller.request("POST", "/here?x=1", content=b"{}", headers=headers)
        assert script.received[0].headers["host"] == "pay.example"
        assert htu(script) == "http://pay.example/here"

    def test_host_header_of_a_third_host_is_refused_beside_a_named_one(self, call: Call, script: Script) -> None:
        with pytest.raises(ValueError, match="evil"):
            call(*ALL, authority="pay.example").request("GET", "/", headers={"Host": "evil.example"})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
class TestRedirect:
    def test_redirect_to_another_host_carries_nothing_of_ours(
        self, call: Call, script: Script, other: Script, status: int, method: str
    ) -> None:
        script.answers = [(status, {"Location": f"{other.url}/there"})]
        caller = call(*ALL, idempotency_keys=True)
        caller.request(method, "/here", content=b"{}")
        assert OURS - {"idempotency-key"} <= script.received[0].headers.keys()
        [received] = other.received
        assert not OURS & received.headers.keys()

    def test_redirect_to_another_host_under_the_name_of_the_service_carries_nothing(
        self, call: Call, script: Script, other: Script, status: int, method: str
    ) -> None:
        """requests keeps a Host header that the program set, also after a redirect to another host."""
        script.answers = [(status, {"Location": f"{other.url}/there"})]
        caller = call(*ALL)
        caller.request(method, "/here", content=b"{}", headers={"Host": host(script)})
        [received] = other.received
        assert not OURS & received.headers.keys()

    def test_redirect_back_to_the_service_is_proven_anew(
        self, call: Call, script: Script, other: Script, status: int, method: str
    ) -> None:
        script.answers = [(status, {"Location": f"{other.url}/there"})]
        other.answers = [(status, {"Location": f"{script.url}/back"})]
        call(*ALL).request(method, "/here", content=b"{}")
        assert htu(script) == f"{script.url}/back"
        assert script.received[0].headers["dpop"] != script.received[1].headers["dpop"]


@pytest.mark.parametrize(
    "url",
    [
        "https://pay.example.evil.example/",
        "https://pay.example@evil.example/",
        "https://evil.example/https://pay.example/",
        "https://evil.example#@pay.example/",
        "https://evil.example?@pay.example/",
        "https://pay.example:444/",
        "http://pay.example/",
        "https://pay.example.:443/",
        "https://pay.exampl\u0435/",
        "//pay.example/",
    ],
)
def test_another_origin_is_another_service(url: str) -> None:
    assert Exchange("https://pay.example", ()).target(url, "/", "pay.example") is None


@pytest.mark.parametrize("url", ["https://pay.example/", "https://PAY.example:443/", "HTTPS://pay.example"])
def test_one_origin_has_several_spellings(url: str) -> None:
    assert Exchange("https://Pay.example:443", ()).target(url, "/x", "pay.example") == "https://pay.example/x"


@pytest.mark.parametrize(
    "service",
    [
        "pay.example",
        "https://pay.example/api",
        "https://a@pay.example",
        "https://x/?y",
        "https://m\u00fcnchen.example",
        "",
    ],
)
def test_a_service_is_a_scheme_a_host_and_a_port(service: str) -> None:
    with pytest.raises(ValueError, match=r"https://pay\.example:8443"):
        Exchange(service, ())
