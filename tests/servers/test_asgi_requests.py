"""The edge under ASGI: the peer, the undecoded path, and headers that Django decodes before any middleware."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIRequest

from securecore import clock
from securecore.events import HeaderForged, ProxyAddressUnknown
from securecore.http.edge.target import target_uri
from securecore.identity import parse_pem
from securecore.testing import Issued
from securecore_client.wire.content_digest import content_digest
from securecore_client.wire.message_signatures import Request
from tests.events.recorder import of_kind, recorded
from tests.replay.proofs import ES256
from tests.replay.signing import COVERED, signed
from tests.support.asgi import ADDRESSES, ASGIClient
from tests.support.views import effects
from tests.tokens.calls import FORM, prove

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.servers.async_urls")]

SECRET = "a proxy secret that only the tests know"
#: A server address of uvicorn on a port, and no address of the client: the client has reset the connection.
RESET = {"client": None, "server": ("10.1.2.4", 8000)}


@pytest.fixture
def alice(users: dict[str, User], certificate_for: Any) -> Issued:
    return certificate_for("alice")  # type: ignore[no-any-return]


def seen(client: ASGIClient, secret: str = "") -> Any:
    return client.get("/seen", **({"x_proxy_auth": secret} if secret else {})).json()["user"]


class TestPeer:
    @pytest.mark.parametrize("server", ["uvicorn unix", "granian unix", "gunicorn unix"])
    def test_peer_on_a_unix_socket_is_the_proxy(self, alice: Issued, server: str) -> None:
        assert seen(ASGIClient(alice, **ADDRESSES[server])) == "alice"

    def test_peer_on_a_unix_socket_is_the_proxy_whatever_x_forwarded_for_says(self, alice: Issued) -> None:
        """uvicorn --forwarded-allow-ips='*' overwrites the client's address, also on a unix socket."""
        assert seen(ASGIClient(alice, client=("203.0.113.9", 0))) == "alice"

    def test_peer_is_not_the_proxy_where_the_unix_socket_is_not_trusted(self, alice: Issued, settings: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "TRUSTED_PROXIES": ["10.0.0.0/8"]}
        for server in ("uvicorn unix", "granian unix", "gunicorn unix", "daphne unix"):
            assert seen(ASGIClient(alice, **ADDRESSES[server]), SECRET) is None, server

    @pytest.mark.parametrize("server", ["uvicorn tcp", "granian tcp", "daphne tcp"])
    def test_peer_on_a_port_needs_the_secret_too(self, alice: Issued, server: str) -> None:
        client = ASGIClient(alice, **ADDRESSES[server])
        assert (seen(client, SECRET), seen(client, "x" * 39), seen(client)) == ("alice", None, None)

    def test_peer_without_any_address_needs_the_secret(self, alice: Issued) -> None:
        client = ASGIClient(alice, **ADDRESSES["daphne unix"])
        assert (seen(client, SECRET), seen(client, "x" * 39), seen(client)) == ("alice", None, None)

    @pytest.mark.parametrize("client", [None, ("", 0), ("", "0")])
    def test_peer_that_reset_its_connection_is_no_proxy(self, alice: Issued, client: Any) -> None:
        """uvicorn reads the client's address after accept(): by then a client on a port may be gone."""
        with recorded() as events:
            assert seen(ASGIClient(alice, **(RESET | {"client": client})), SECRET) is None
        assert of_kind(events, HeaderForged)

    def test_peer_whose_address_the_server_overwrote_is_reported(self, alice: Issued) -> None:
        with recorded() as events:
            assert seen(ASGIClient(alice, client=("203.0.113.9", 0), server=("10.1.2.4", 8000)), SECRET) is None
        assert of_kind(events, ProxyAddressUnknown) == [ProxyAddressUnknown(peer="203.0.113.9")]

    def test_peer_cannot_spell_a_header_with_underscores(self, users: Any, alice: Issued) -> None:
        client = ASGIClient()
        headers = {"x_ssl_client_verify": "SUCCESS", "x_ssl_client_cert": alice.escaped}
        assert client.request("GET", "/seen", headers=headers).json()["user"] is None


#: Paths that Django decodes, each routed to the view of ``/signature`` or ``/dpop``.
SPELLINGS = ["/%73ignature", "/signatur%65", "/%73ignature?q=%2f%7e", "/signature?"]


class TestTarget:
    def sign(self, issued: Issued, target: str) -> dict[str, str]:
        now, body = int(clock.now().timestamp()), b"{}"
        fields = {"content-digest": content_digest(body), "content-type": "application/json"}
        request = Request("POST", f"https://testserver{target}", fields)
        keyid = parse_pem(issued.pem).thumbprint
        sent = signed(COVERED, key=issued.key, request=request, created=now, expires=now + 60, keyid=keyid)
        return dict(sent.fields)

    @pytest.mark.parametrize("target", SPELLINGS)
    def test_target_of_a_signature_is_the_one_that_was_sent(self, alice: Issued, target: str) -> None:
        # A "?" with nothing behind it never reaches an ASGI application: it is signed without.
        headers = self.sign(alice, target.removesuffix("?"))
        response = ASGIClient(alice).request("POST", target, b"{}", headers=headers)
        assert (response.status, effects()) == (201, 1), response.content

    def test_target_that_the_server_rewrote_is_the_routed_one(self, alice: Issued) -> None:
        headers = self.sign(alice, "/%73ignature")
        response = ASGIClient(alice, raw_path=b"/other").request("POST", "/signature", b"{}", headers=headers)
        assert (response.status, effects()) == (401, 0)

    @pytest.mark.parametrize("raw", [b"/caf\xe9", b"", None, b"/%zz"])
    def test_target_that_is_no_uri_is_the_routed_one(self, raw: bytes | None, rf: Any) -> None:
        request = ASGIRequest({**ASGIClient().scope_of("GET", "/a b", b"", {}), "raw_path": raw}, io.BytesIO())
        assert target_uri(request) == "https://testserver/a%20b"

    @pytest.mark.parametrize("target", ["/dpop", "/%64pop", "/%64pop?q=%2f", "/dpop?"])
    def test_target_of_a_proof_is_the_one_that_was_sent(self, alice: Issued, target: str) -> None:
        client = ASGIClient(alice)
        form = b"grant_type=urn:securecore:grant-type:certificate"
        headers = {"content-type": FORM, "dpop": prove("/oauth/token", "POST", by=ES256)}
        token = client.request("POST", "/oauth/token", form, headers=headers).json()["access_token"]
        proof = prove(target.partition("?")[0], "POST", token=token)
        response = client.request("POST", target, headers={"authorization": f"DPoP {token}", "dpop": proof})
        assert (response.status, effects()) == (201, 1), response.content


class TestContentType:
    @pytest.mark.parametrize(
        "kind", ["text/plain; charset=hex", "text/plain; a*=nothing''%41", "text/plain; charset=punycode", "x" * 20_000]
    )
    def test_content_type_that_django_cannot_parse_is_refused(self, alice: Issued, kind: str) -> None:
        response = ASGIClient(alice).request("POST", "/seen?a=b", headers={"content-type": kind})
        assert (response.status, response.json()["code"]) == (400, "charset-refused")

    def test_content_type_that_is_text_is_not(self, alice: Issued) -> None:
        response = ASGIClient(alice).request("GET", "/seen", headers={"content-type": f"{FORM}; charset=utf-8"})
        assert response.status == 200
