"""The headers of a proxy, and the proof that a trusted proxy sent them: requests through the middleware."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from securecore.errors import every_refusal
from securecore.events import HeaderForged, ProxyAddressUnknown, RequestRefused
from securecore.identity import parse_pem
from securecore.revocation import revoke_certificate
from securecore.testing import Authority, Issued
from securecore.testing.authority import DAY
from tests.events.recorder import of_kind, recorded
from tests.support.nginx import NginxClient

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]

SECRET = "a proxy secret that only the tests know"
OLDER_SECRET = "an older proxy secret, still accepted for a while"
TCP = {"REMOTE_ADDR": "10.1.2.3", "HTTP_X_PROXY_AUTH": SECRET}
STATUS = {refusal.code: refusal.status for refusal in every_refusal()}

#: Every header in which some proxy forwards a certificate.
IDENTITY_HEADERS = [
    "HTTP_X_SSL_CLIENT_VERIFY",
    "HTTP_X_SSL_CLIENT_CERT",
    "HTTP_X_SSL_CLIENT_FINGERPRINT",
    "HTTP_X_SSL_CLIENT_S_DN",
    "HTTP_X_SSL_CERT",
    "HTTP_SSL_CLIENT_VERIFY",
    "HTTP_SSL_CLIENT_CERT",
    "HTTP_CLIENT_CERT",
    "HTTP_CLIENT_CERT_CHAIN",
    "HTTP_X_CLIENT_CERT",
    "HTTP_X_FORWARDED_CLIENT_CERT",
    "HTTP_X_FORWARDED_TLS_CLIENT_CERT",
    "HTTP_X_FORWARDED_TLS_CLIENT_CERT_INFO",
    "HTTP_X_AMZN_MTLS_CLIENTCERT",
    "HTTP_X_AMZN_MTLS_CLIENTCERT_LEAF",
]


@pytest.fixture
def alice(certificate_for: Callable[[str], Issued]) -> Issued:
    return certificate_for("alice")


def refusal_of(answer: Any) -> tuple[int, str]:
    """Return status and code of a problem response, and assert that it is well formed."""
    assert answer["Content-Type"] == "application/problem+json"
    assert "no-store" in answer["Cache-Control"]
    problem = answer.json()
    assert problem["type"] == f"urn:securecore:problem:{problem['code']}"
    assert problem["status"] == answer.status_code == STATUS[problem["code"]]
    return answer.status_code, problem["code"]


class TestTrustedProxy:
    def test_trusted_proxy_is_believed_over_a_unix_socket(self, users: dict[str, User], alice: Issued) -> None:
        seen = NginxClient(alice).get("/seen").json()
        assert (seen["thumbprint"], seen["user"]) == (parse_pem(alice.pem).thumbprint, "alice")

    def test_trusted_proxy_is_believed_over_tcp_with_the_secret(self, users: dict[str, User], alice: Issued) -> None:
        assert NginxClient(alice, **TCP).get("/seen").json()["user"] == "alice"

    @pytest.mark.parametrize("secret", [SECRET, OLDER_SECRET])
    def test_trusted_proxy_may_use_any_secret_during_a_rotation(
        self, users: dict[str, User], alice: Issued, settings: Any, secret: str
    ) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "PROXY_SECRETS": [SECRET, OLDER_SECRET]}
        client = NginxClient(alice, REMOTE_ADDR="10.1.2.3", HTTP_X_PROXY_AUTH=secret)
        assert client.get("/seen").json()["user"] == "alice"

    def test_trusted_proxy_may_not_use_a_secret_of_yesterday(self, users: dict[str, User], alice: Issued) -> None:
        client = NginxClient(alice, REMOTE_ADDR="10.1.2.3", HTTP_X_PROXY_AUTH=OLDER_SECRET)
        assert client.get("/seen").json()["user"] is None

    @pytest.mark.parametrize("verify", ["NONE", ""])
    def test_trusted_proxy_that_saw_no_certificate_claims_nothing(self, verify: str) -> None:
        with recorded() as events:
            seen = NginxClient(HTTP_X_SSL_CLIENT_VERIFY=verify).get("/seen").json()
        assert (seen["thumbprint"], seen["user"], events) == (None, None, [])

    def test_trusted_proxy_may_send_no_header_at_all(self) -> None:
        client = NginxClient()
        client.defaults = {"REMOTE_ADDR": ""}
        assert client.get("/seen").json()["thumbprint"] is None

    @pytest.mark.parametrize("peer", [{"REMOTE_ADDR": ""}, TCP], ids=["unix socket", "TCP"])
    def test_trusted_proxy_leaves_no_identity_header_to_the_view(
        self, users: dict[str, User], alice: Issued, peer: dict[str, str]
    ) -> None:
        others = dict.fromkeys(IDENTITY_HEADERS[2:], "anything")
        seen = NginxClient(alice, **(others | peer)).get("/seen").json()
        assert seen["user"] == "alice"
        assert not set(seen["meta"]) & {*IDENTITY_HEADERS, "HTTP_X_PROXY_AUTH"}

    def test_trusted_proxy_reports_what_it_should_have_removed(self, users: dict[str, User], alice: Issued) -> None:
        with recorded() as events:
            NginxClient(alice, HTTP_CLIENT_CERT=":AAAA:").get("/seen")
        reason = "The trusted proxy let them pass: CERTIFICATE_SOURCE 'nginx' has others."
        assert events == [HeaderForged(peer="", headers=("HTTP_CLIENT_CERT",), reason=reason)]

    @pytest.mark.parametrize(
        ("verify", "with_certificate", "code"),
        [
            ("SUCCESS", False, "certificate-malformed"),
            ("", True, "certificate-not-verified"),
            ("NONE", True, "certificate-not-verified"),
            ("FAILED", True, "certificate-not-verified"),
            ("FAILED", False, "certificate-not-verified"),
            ("FAILED:certificate has expired", True, "certificate-not-verified"),
            ("FAILED:SUCCESS", True, "certificate-not-verified"),
            ("SUCCESS,SUCCESS", True, "certificate-malformed"),
            ("SUCCESS, SUCCESS", True, "certificate-malformed"),
            ("NONE,SUCCESS", True, "certificate-malformed"),
            ("SUCCESS,NONE", True, "certificate-malformed"),
            ("NONE,SUCCESS", False, "certificate-malformed"),
            ("success", True, "certificate-malformed"),
            ("SUCCESS ", True, "certificate-malformed"),
            (" SUCCESS", True, "certificate-malformed"),
            ("SUCCESSFUL", True, "certificate-malformed"),
            ("UNSUCCESSFUL", True, "certificate-malformed"),
            ("SUCCESS\0", True, "certificate-malformed"),
            ("0", True, "certificate-malformed"),
            ("1", True, "certificate-malformed"),
            ("OK", True, "certificate-malformed"),
            ("true", True, "certificate-malformed"),
            ("\xa0", True, "certificate-malformed"),
        ],
    )
    def test_trusted_proxy_is_refused_unless_it_says_success_and_nothing_else(
        self, users: dict[str, User], alice: Issued, verify: str, with_certificate: bool, code: str
    ) -> None:
        escaped = alice.escaped if with_certificate else ""
        client = NginxClient(alice, HTTP_X_SSL_CLIENT_VERIFY=verify, HTTP_X_SSL_CLIENT_CERT=escaped)
        with recorded() as events:
            answer = client.get("/seen")
        assert refusal_of(answer) == (STATUS[code], code)
        assert [event.code for event in of_kind(events, RequestRefused)] == [code]

    def test_trusted_proxy_is_refused_with_a_doubled_certificate(self, users: dict[str, User], alice: Issued) -> None:
        client = NginxClient(alice, HTTP_X_SSL_CLIENT_CERT=f"{alice.escaped},{alice.escaped}")
        assert refusal_of(client.get("/seen")) == (400, "certificate-malformed")

    @pytest.mark.parametrize("value", [" ", "%", "%00", "\0", "\xff\xfe", "(null)", "-", "::", "0", "," * 100])
    def test_trusted_proxy_is_refused_with_an_unreadable_certificate(self, users: dict[str, User], value: str) -> None:
        client = NginxClient(HTTP_X_SSL_CLIENT_VERIFY="SUCCESS", HTTP_X_SSL_CLIENT_CERT=value)
        assert refusal_of(client.get("/seen")) == (400, "certificate-malformed")

    def test_trusted_proxy_is_refused_with_a_huge_certificate(self, users: dict[str, User], alice: Issued) -> None:
        client = NginxClient(alice, HTTP_X_SSL_CLIENT_CERT=alice.escaped + "%0A" * 8_000)
        assert refusal_of(client.get("/seen")) == (431, "certificate-too-large")


STRANGERS: dict[str, dict[str, str]] = {
    "trusted network, no secret": {"REMOTE_ADDR": "10.1.2.3"},
    "trusted network, empty secret": {"REMOTE_ADDR": "10.1.2.3", "HTTP_X_PROXY_AUTH": ""},
    "trusted network, wrong secret": {"REMOTE_ADDR": "10.1.2.3", "HTTP_X_PROXY_AUTH": SECRET[::-1]},
    "trusted network, half the secret": {"REMOTE_ADDR": "10.1.2.3", "HTTP_X_PROXY_AUTH": SECRET[:20]},
    "trusted network, secret and more": {"REMOTE_ADDR": "10.1.2.3", "HTTP_X_PROXY_AUTH": SECRET + "x"},
    "trusted network, doubled secret": {"REMOTE_ADDR": "10.1.2.3", "HTTP_X_PROXY_AUTH": f"{SECRET},{SECRET}"},
    "trusted network, Latin-1 secret": {"REMOTE_ADDR": "10.1.2.3", "HTTP_X_PROXY_AUTH": SECRET + "\xff"},
    "another network, the secret": {**TCP, "REMOTE_ADDR": "203.0.113.9"},
    "another network, a forwarded address": {**TCP, "REMOTE_ADDR": "203.0.113.9", "HTTP_X_FORWARDED_FOR": "10.1.2.3"},
    "loopback, the secret": {**TCP, "REMOTE_ADDR": "127.0.0.1"},
    "IPv6, the secret": {**TCP, "REMOTE_ADDR": "2001:db8::1"},
    "address with a port": {**TCP, "REMOTE_ADDR": "10.1.2.3:4711"},
    "two addresses": {**TCP, "REMOTE_ADDR": "10.1.2.3, 10.1.2.4"},
    "blank address": {**TCP, "REMOTE_ADDR": " "},
    "no address": {**TCP, "REMOTE_ADDR": "unix:"},
    "address as a number": {**TCP, "REMOTE_ADDR": "167838211"},
}


class TestStranger:
    @pytest.mark.parametrize("peer", STRANGERS.values(), ids=STRANGERS)
    def test_stranger_is_stripped_and_reported(
        self, users: dict[str, User], alice: Issued, peer: dict[str, str]
    ) -> None:
        with recorded() as events:
            seen = NginxClient(alice, **peer).get("/seen").json()
        assert (seen["thumbprint"], seen["user"]) == (None, None)
        assert not set(seen["meta"]) & {*IDENTITY_HEADERS, "HTTP_X_PROXY_AUTH"}
        names = ("HTTP_X_SSL_CLIENT_CERT", "HTTP_X_SSL_CLIENT_VERIFY")
        (forged,) = of_kind(events, HeaderForged)
        assert (forged.peer, forged.headers) == (peer["REMOTE_ADDR"], names)
        assert (peer.get("HTTP_X_PROXY_AUTH") or SECRET) not in forged.reason
        # The right secret from another address is reported too: the server may have overwritten the proxy's address.
        unknown = [ProxyAddressUnknown(peer=peer["REMOTE_ADDR"])] if peer.get("HTTP_X_PROXY_AUTH") == SECRET else []
        assert of_kind(events, ProxyAddressUnknown) == unknown

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"HTTP_X_PROXY_AUTH": ""}, "It sent no X-Proxy-Auth."),
            ({"HTTP_X_PROXY_AUTH": "wrong"}, "Its X-Proxy-Auth is none of PROXY_SECRETS."),
            ({"REMOTE_ADDR": "203.0.113.9"}, "TRUSTED_PROXIES does not name its address."),
        ],
    )
    def test_stranger_may_be_an_honest_proxy_without_its_setting(
        self, alice: Issued, changed: dict[str, str], reason: str
    ) -> None:
        with recorded() as events:
            NginxClient(alice, **(TCP | changed)).get("/seen")
        assert [event.reason for event in of_kind(events, HeaderForged)] == [reason]

    @pytest.mark.parametrize("secret", [{}, {"HTTP_X_PROXY_AUTH": SECRET}], ids=["no secret", "the secret"])
    def test_stranger_is_on_the_unix_socket_unless_that_is_trusted(
        self, users: dict[str, User], alice: Issued, settings: Any, secret: dict[str, str]
    ) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "TRUSTED_PROXIES": ["10.0.0.0/8"]}
        with recorded() as events:
            seen = NginxClient(alice, **secret).get("/seen").json()
        assert seen["user"] is None
        assert [event.peer for event in of_kind(events, HeaderForged)] == [""]

    def test_stranger_is_everybody_by_default(self, users: dict[str, User], alice: Issued, settings: Any) -> None:
        settings.SECURECORE = {}
        for peer in ({"REMOTE_ADDR": ""}, {"REMOTE_ADDR": "127.0.0.1"}, TCP):
            assert NginxClient(alice, **peer).get("/seen").json()["user"] is None

    @pytest.mark.parametrize("name", IDENTITY_HEADERS)
    def test_stranger_cannot_bring_any_identity_header_to_a_view(self, name: str) -> None:
        client = NginxClient(REMOTE_ADDR="203.0.113.9", **{name: "SUCCESS"})
        with recorded() as events:
            seen = client.get("/seen").json()
        assert name not in seen["meta"]
        assert [name in event.headers for event in of_kind(events, HeaderForged)] == [True]

    @pytest.mark.parametrize("name", ["X_SSL_CLIENT_VERIFY", "SSL_CLIENT_VERIFY", "x-ssl-client-verify"])
    def test_stranger_cannot_say_it_in_another_spelling(self, users: dict[str, User], alice: Issued, name: str) -> None:
        """Servers make META keys HTTP_* of every header. Another key in META was never a header of the request."""
        client = NginxClient(alice, HTTP_X_SSL_CLIENT_VERIFY="", **{name: "SUCCESS"})
        assert refusal_of(client.get("/seen")) == (403, "certificate-not-verified")

    def test_stranger_that_claims_nothing_is_nobody(self) -> None:
        with recorded() as events:
            assert NginxClient(REMOTE_ADDR="203.0.113.9").get("/seen").json()["thumbprint"] is None
        assert events == []

    def test_stranger_is_not_parsed(self, alice: Issued) -> None:
        client = NginxClient(alice, REMOTE_ADDR="203.0.113.9", HTTP_X_SSL_CLIENT_CERT="%00" * 10_000)
        assert client.get("/seen").status_code == 200


class TestHeadersReadBefore:
    """A middleware in front may read `request.headers`, which Django then caches."""

    @pytest.mark.parametrize("peer", [TCP, {**TCP, "REMOTE_ADDR": "203.0.113.9"}], ids=["trusted", "stranger"])
    def test_headers_read_before_do_not_reach_a_view(
        self, users: dict[str, User], alice: Issued, settings: Any, peer: dict[str, str]
    ) -> None:
        settings.MIDDLEWARE = ["tests.identity.test_proxy.reads_headers", *settings.MIDDLEWARE]
        seen = NginxClient(alice, **peer).get("/seen").json()
        names = {name.lower() for name in seen["headers"]}
        assert not names & {"x-ssl-client-cert", "x-ssl-client-verify", "x-proxy-auth"}


def reads_headers(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A middleware that reads the headers, like those for CORS."""

    def middleware(request: Any) -> Any:
        assert "X-Proxy-Auth" in request.headers
        return get_response(request)

    return middleware


class TestCertificate:
    def test_certificate_that_has_expired_is_refused(self, ca: Authority) -> None:
        expired = ca.issue("alice", not_before=ca.now - 2 * DAY, not_after=ca.now - DAY)
        assert refusal_of(NginxClient(expired).get("/seen")) == (403, "certificate-expired")

    def test_certificate_that_is_not_valid_yet_is_refused(self, ca: Authority) -> None:
        early = ca.issue("alice", not_before=ca.now + DAY / 2, not_after=ca.now + DAY)
        assert refusal_of(NginxClient(early).get("/seen")) == (403, "certificate-expired")

    def test_certificate_that_expires_is_refused_though_it_was_cached(
        self, users: dict[str, User], alice: Issued, monkeypatch: pytest.MonkeyPatch, now: dt.datetime
    ) -> None:
        client = NginxClient(alice)
        assert client.get("/seen").status_code == 200
        monkeypatch.setattr("securecore.clock.now", lambda: now + 2 * DAY)
        assert refusal_of(client.get("/seen")) == (403, "certificate-expired")

    @pytest.mark.parametrize("enrolled_before", [True, False])
    def test_certificate_that_was_revoked_is_refused(
        self,
        ca: Authority,
        users: dict[str, User],
        certificate_for: Callable[[str], Issued],
        enrolled_before: bool,
    ) -> None:
        issued = certificate_for("alice") if enrolled_before else ca.issue("never seen")
        client = NginxClient(issued)
        assert client.get("/seen").status_code == 200
        revoke_certificate(thumbprint=parse_pem(issued.pem).thumbprint)
        for url in ("/seen", "/protected", "/auth/sessions"):
            assert refusal_of(client.get(url)) == (403, "certificate-revoked")

    def test_certificate_that_is_not_enrolled_is_seen_but_is_nobody(self, ca: Authority) -> None:
        client = NginxClient(ca.issue("alice"))
        seen = client.get("/seen").json()
        assert seen["thumbprint"]
        assert seen["user"] is None
        assert refusal_of(client.get("/protected")) == (403, "certificate-unknown")

    def test_certificate_of_a_deactivated_user_is_nobody(self, users: dict[str, User], alice: Issued) -> None:
        User.objects.filter(username="alice").update(is_active=False)
        client = NginxClient(alice)
        assert client.get("/seen").json()["user"] is None
        assert refusal_of(client.get("/protected")) == (403, "certificate-unknown")
        assert refusal_of(client.post("/auth/login")) == (403, "certificate-unknown")
