"""Requests that are refused before any view runs, for every purpose."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User

from securecore import tokens
from securecore.events import RequestRefused
from securecore.identity import parse_pem
from securecore.testing import Issued, MutualTLSClient
from tests.events.recorder import of_kind, recorded
from tests.tokens.forge import segment

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]

Clients = Callable[..., MutualTLSClient]
SAFE = ["GET", "HEAD", "OPTIONS", "TRACE"]
UNSAFE = ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "PROPFIND", "INVENTED"]
FOREIGN = [
    "null",
    "https://evil.example",
    "http://testserver",
    "https://testserver:444",
    "https://testserver.evil.example",
    "https://eviltestserver",
    "https://evil.example/testserver",
    "https://testserver@evil.example",
    "https://testserver/",
    "https://TESTSERVER",
    "testserver",
    "//testserver",
    "",
    " ",
    "https://testserver, https://testserver",
    "https://testserver https://evil.example",
    "chrome-extension://abcdefgh",
    "https://[",
    "https://[::1",
    "https://]",
    "https://testserver\u2100",
    "https://\uff0fevil.example",
    "\xff",
    "\0",
    "https://" + "a" * 10_000,
]


@pytest.fixture
def client(mtls_client: Clients) -> MutualTLSClient:
    return mtls_client("alice")


def code_of(answer: Any) -> str | None:
    """Return the code of the refusal, or None for a response that is no refusal."""
    if answer.status_code < 400:
        return None
    return str(json.loads(answer.content)["code"]) if answer.content else f"bare {answer.status_code}"


class TestCrossSite:
    @pytest.mark.parametrize("origin", FOREIGN, ids=ascii)
    @pytest.mark.parametrize("method", UNSAFE[:2])
    def test_cross_site_is_refused_by_origin(self, client: MutualTLSClient, method: str, origin: str) -> None:
        answer = client.generic(method, "/seen", HTTP_ORIGIN=origin.encode().decode("latin-1"))
        assert (answer.status_code, code_of(answer)) == (403, "cross-site")

    @pytest.mark.parametrize("origin", FOREIGN, ids=ascii)
    def test_cross_site_is_refused_by_origin_where_other_sites_are_trusted(
        self, client: MutualTLSClient, settings: Any, origin: str
    ) -> None:
        settings.CSRF_TRUSTED_ORIGINS = ["https://*.trusted.example", "https://trusted.example"]
        assert code_of(client.post("/auth/logout", HTTP_ORIGIN=origin.encode().decode("latin-1"))) == "cross-site"

    @pytest.mark.parametrize(
        "site", ["cross-site", "same-site", "", " ", "Same-Origin", "none, none", "\xff", "unheard-of"]
    )
    def test_cross_site_is_refused_by_fetch_metadata(self, client: MutualTLSClient, site: str) -> None:
        assert code_of(client.post("/auth/logout", HTTP_SEC_FETCH_SITE=site)) == "cross-site"

    @pytest.mark.parametrize("method", UNSAFE)
    def test_cross_site_is_refused_for_every_unsafe_method(self, client: MutualTLSClient, method: str) -> None:
        assert code_of(client.generic(method, "/seen", HTTP_ORIGIN="https://evil.example")) == "cross-site"

    @pytest.mark.parametrize("method", SAFE)
    def test_cross_site_may_look(self, client: MutualTLSClient, method: str) -> None:
        headers: dict[str, Any] = {"HTTP_ORIGIN": "https://evil.example", "HTTP_SEC_FETCH_SITE": "cross-site"}
        assert code_of(client.generic(method, "/seen", **headers)) is None

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"HTTP_ORIGIN": "https://testserver"},
            {"HTTP_ORIGIN": "https://testserver", "HTTP_SEC_FETCH_SITE": "same-origin"},
            {"HTTP_SEC_FETCH_SITE": "same-origin"},
            {"HTTP_SEC_FETCH_SITE": "none"},
        ],
    )
    def test_cross_site_is_not_what_our_own_pages_and_programs_do(
        self, client: MutualTLSClient, headers: dict[str, Any]
    ) -> None:
        assert code_of(client.post("/auth/logout", **headers)) is None

    @pytest.mark.parametrize(
        ("origin", "code"),
        [
            ("https://trusted.example", None),
            ("https://a.trusted.example", None),
            ("https://a.b.trusted.example", None),
            ("http://a.trusted.example", "cross-site"),
            ("https://a.trusted.example:8443", "cross-site"),
            ("https://eviltrusted.example", "cross-site"),
            ("https://a.trusted.example.evil.example", "cross-site"),
        ],
    )
    def test_cross_site_is_not_a_site_the_project_trusts(
        self, client: MutualTLSClient, settings: Any, origin: str, code: str | None
    ) -> None:
        settings.CSRF_TRUSTED_ORIGINS = ["https://*.trusted.example", "https://trusted.example"]
        assert code_of(client.post("/auth/logout", HTTP_ORIGIN=origin, HTTP_SEC_FETCH_SITE="cross-site")) == code

    def test_cross_site_is_refused_without_a_certificate_too(self, mtls_client: Clients) -> None:
        assert code_of(mtls_client(None).post("/seen", HTTP_ORIGIN="null")) == "cross-site"

    def test_cross_site_is_refused_before_anything_happened(self, client: MutualTLSClient) -> None:
        with recorded() as events:
            answer = client.post("/auth/login", HTTP_ORIGIN="https://evil.example")
        assert answer.cookies == {}
        assert [event.code for event in of_kind(events, RequestRefused)] == ["cross-site"]

    def test_cross_site_of_an_unknown_host_is_no_500(self, client: MutualTLSClient) -> None:
        answer = client.post("/auth/logout", HTTP_ORIGIN="https://evil.example", HTTP_HOST="evil.example")
        assert answer.status_code == 400


FORMS = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "Text/Plain;charset=utf-8",
    " text/plain",
    "",
]
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:78.0) Gecko/20100101 Firefox/78.0"


class TestFormOfAnOldBrowser:
    """An old browser sends neither Origin nor Sec-Fetch-Site. Any page may then send a form to any site."""

    def send(self, client: MutualTLSClient, content_type: str, **headers: Any) -> Any:
        headers = {"HTTP_USER_AGENT": FIREFOX, "CONTENT_TYPE": content_type, **headers}
        return client.generic("POST", "/auth/logout", b"", content_type, **headers)

    @pytest.mark.parametrize("content_type", FORMS)
    @pytest.mark.parametrize("page", [None, "https://evil.example/", "", "https://[", "http://testserver/", "null"])
    def test_form_of_an_old_browser_is_refused_from_another_page(
        self, client: MutualTLSClient, content_type: str, page: str | None
    ) -> None:
        headers = {} if page is None else {"HTTP_REFERER": page}
        assert code_of(self.send(client, content_type, **headers)) == "cross-site"

    @pytest.mark.parametrize("content_type", FORMS)
    def test_form_of_an_old_browser_is_taken_from_our_own_page(
        self, client: MutualTLSClient, content_type: str
    ) -> None:
        assert code_of(self.send(client, content_type, HTTP_REFERER="https://testserver/page?x=y")) is None

    @pytest.mark.parametrize("content_type", FORMS)
    @pytest.mark.parametrize("program", ["curl/8.0", "python-requests/2.34", "okhttp/4.12", ""])
    def test_form_of_an_old_browser_is_taken_from_a_program(
        self, client: MutualTLSClient, content_type: str, program: str
    ) -> None:
        """A program needs no CSRF token: no page can make a program send its certificate."""
        assert code_of(self.send(client, content_type, HTTP_USER_AGENT=program)) is None

    def test_form_of_an_old_browser_is_another_thing_than_json(self, client: MutualTLSClient) -> None:
        """Another content type than JSON. The browser would first send a preflight request, which
        securecore refuses.
        """
        assert code_of(self.send(client, "application/json")) is None


class TestEarlyData:
    @pytest.mark.parametrize("value", ["1", "", "0", "1,1"])
    @pytest.mark.parametrize("method", UNSAFE)
    def test_early_data_is_refused_for_an_unsafe_method(self, client: MutualTLSClient, method: str, value: str) -> None:
        answer = client.generic(method, "/seen", HTTP_EARLY_DATA=value)
        assert (answer.status_code, code_of(answer)) == (425, "early-data")

    @pytest.mark.parametrize("method", SAFE)
    def test_early_data_may_look(self, client: MutualTLSClient, method: str) -> None:
        assert code_of(client.generic(method, "/seen", HTTP_EARLY_DATA="1")) is None

    def test_early_data_is_refused_before_anything_happened(self, client: MutualTLSClient) -> None:
        assert client.post("/auth/login", HTTP_EARLY_DATA="1").cookies == {}


class TestTokenInUrl:
    @pytest.fixture
    def token(self, client: MutualTLSClient, certificate_for: Callable[[str], Issued], now: dt.datetime) -> str:
        alice = User.objects.get(username="alice")
        thumbprint = parse_pem(certificate_for("alice").pem).thumbprint
        return tokens.issue(subject=str(alice.pk), client_id="alice", binding=f"x5t#S256:{thumbprint}", now=now)[0]

    @pytest.mark.parametrize(
        "query",
        [
            "access_token={}",
            "ACCESS_TOKEN={}",
            "access_token=",
            "access_token",
            "access_token=anything",
            "refresh_token=anything",
            "a=1&access_token={}",
            "access_token=&access_token={}",
            "%61ccess_token={}",
            "access%5Ftoken={}",
            "%61%63%63%65%73%73%5f%74%6f%6b%65%6e=x",
            "access_token=%00",
            "access_token=%FF",
            "token={}",
            "t={}",
            "={}",
            "next={}",
            "x[]={}",
            "t=1&t={}",
            "t={}&t=1",
            "%00={}",
            "%FF={}",
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
    def test_token_in_url_is_refused(self, client: MutualTLSClient, token: str, query: str, method: str) -> None:
        with recorded() as events:
            answer = client.generic(method, "/seen?" + query.format(token))
        assert answer.status_code == 400
        assert [event.code for event in of_kind(events, RequestRefused)] == ["token-in-url"]
        assert token not in repr(events)
        assert token.encode() not in answer.content

    def test_token_in_url_is_refused_however_it_is_escaped(self, client: MutualTLSClient, token: str) -> None:
        escaped = "".join(f"%{byte:02x}" for byte in token.encode())
        for spelling in (escaped, quote(token, safe=""), "%65" + token[1:]):
            assert code_of(client.get(f"/seen?q={spelling}")) == "token-in-url"

    def test_token_in_url_is_refused_whether_it_is_good_or_not(self, client: MutualTLSClient, token: str) -> None:
        head, payload, _ = token.split(".")
        for spoilt in (f"{head}.{payload}.AAAA", f"{head}.{payload}.", f"{head}.e30.AAAA"):
            assert code_of(client.get(f"/seen?q={spoilt}")) == "token-in-url"
        elsewhere = f"{segment({'typ': 'application/at+jwt', 'alg': 'none'})}.e30.AAAA"
        assert code_of(client.get(f"/seen?q={elsewhere}")) == "token-in-url"

    def test_token_in_url_is_refused_beside_one_in_the_header(self, client: MutualTLSClient, token: str) -> None:
        answer = client.get(f"/protected?access_token={token}", HTTP_AUTHORIZATION=f"Bearer {token}")
        assert code_of(answer) == "token-in-url"

    # Not "hex" or "undefined": Django cannot even build a request with those.
    @pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-32", "utf-7", "cp037", "koi8-r", "nothing"])
    def test_token_in_url_is_refused_whatever_encoding_the_request_claims(
        self, client: MutualTLSClient, token: str, charset: str
    ) -> None:
        content_type = f"text/plain; charset={charset}"
        for query in ("access_token=x", "%61ccess_token=x", f"q={token}"):
            assert code_of(client.get(f"/seen?{query}", CONTENT_TYPE=content_type)) == "token-in-url"
        assert code_of(client.get("/seen?q=%41", CONTENT_TYPE=content_type)) is None

    @pytest.mark.parametrize(
        "query",
        [
            "",
            "q=token",
            "access_tokens=1",
            "token_type=1",
            "q=access_token",
            "q=eyJ",
            "q=eyJ.eyJ.eyJ",
            "q=eyJhbGciOiJub25lIn0.e30.",
            "q=eyJ%00%FF",
            "q=" + "eyJ" * 2_000,
            "q=" + segment(b'{"typ":' + b"[" * 3_000) + ".e30.AAAA",
            "q=" + segment(b'{"typ":' + b"1" * 5_000 + b"}") + ".e30.AAAA",
            "q=" + segment(b'{"typ":"\xff"}') + ".e30.AAAA",
            "q=" + segment({"typ": ["at+jwt"]}) + ".e30.AAAA",
            "q=" + segment({"typ": "JWT"}) + ".e30.AAAA",
            "&&&===%%%;;;",
        ],
    )
    def test_token_in_url_is_not_what_has_no_token(self, client: MutualTLSClient, query: str) -> None:
        assert code_of(client.get(f"/seen?{query}")) is None

    def test_token_in_url_of_a_thousand_parameters_is_no_500(self, client: MutualTLSClient) -> None:
        assert client.get("/seen?" + "a=1&" * 2_000).status_code == 400


class TestCaching:
    """RFC 9440 section 2.4: a response that depends on the certificate must not reach another client."""

    @pytest.mark.django_db
    def test_caching_is_forbidden_for_an_answer_under_a_certificate(self, mtls_client: Any) -> None:
        assert mtls_client("alice").get("/nowhere")["Cache-Control"] == "no-store"

    @pytest.mark.django_db
    def test_caching_is_left_alone_without_one(self, mtls_client: Any) -> None:
        assert "Cache-Control" not in mtls_client(None).get("/nowhere")
