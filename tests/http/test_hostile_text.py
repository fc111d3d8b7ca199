"""Hostile text in every place that takes text: a status below 500 with a code, on every database."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from typing import Any
from urllib.parse import quote, quote_from_bytes

import pytest

from securecore.testing import MutualTLSClient
from tests.tokens.calls import CERTIFICATE_GRANT, prove

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.hostile_urls")]

TEXTS = {
    "empty": "",
    "blank": " ",
    "blanks": "\t\x0b\x0c\x1c\x85\u2003\u00a0",
    "nul": "\0",
    "nul-inside": "alice\0bob",
    "surrogate": "\udcff",
    "surrogates": "a\ud83d\ud83db",
    "ten-kilobytes": "x" * 10_240,
    "ten-kilobytes-of-nul": "\0" * 10_240,
    "line-breaks": "a\r\nSet-Cookie: b=c\r\n\r\nd\u2028e\u0085f",
    "escape": "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "bidi": "\u202ealice\u2066bob\u2069\u200f",
    "digits": "\u0661\u0662\u0663\uff11\u00b2",
    "number": "9" * 5_000,
    "beyond": "\U0010ffff\ufffe\u0301",
    "latin-1": "\xff\xfe\x80",
    "percent": "%00%ff%zz%",
    "quotes": "'\";--\\",
    "json": '{"a": [1]}',
}
HEADERS = [
    "HTTP_AUTHORIZATION",
    "HTTP_COOKIE",
    "HTTP_USER_AGENT",
    "HTTP_DPOP",
    "HTTP_ORIGIN",
    "HTTP_SEC_FETCH_SITE",
    "HTTP_REFERER",
    "HTTP_EARLY_DATA",
    "HTTP_X_REQUEST_TIMESTAMP",
    "HTTP_X_REQUEST_NONCE",
    "HTTP_IDEMPOTENCY_KEY",
    "HTTP_SIGNATURE",
    "HTTP_SIGNATURE_INPUT",
    "HTTP_CONTENT_DIGEST",
    "HTTP_X_REAL_IP",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_SSL_CLIENT_VERIFY",
    "HTTP_X_SSL_CLIENT_CERT",
    "HTTP_X_PROXY_AUTH",
    "HTTP_CLIENT_CERT",
    "HTTP_X_FORWARDED_CLIENT_CERT",
    "HTTP_HOST",
    "HTTP_ACCEPT",
    "HTTP_X_HTTP_METHOD_OVERRIDE",
    "CONTENT_TYPE",
    "CONTENT_LENGTH",
    "QUERY_STRING",
    "REMOTE_ADDR",
]
PATHS = [
    "/auth/login",
    "/both",
    "/replay/signature",
    "/replay/dpop",
    "/views/idempotent",
    "/views/fresh",
    "/oauth/token",
]
Clients = Callable[..., MutualTLSClient]


@pytest.fixture(params=["alice", None], ids=["with certificate", "without"])
def client(request: pytest.FixtureRequest, mtls_client: Clients) -> MutualTLSClient:
    return mtls_client(request.param, raise_request_exception=False)


def on_the_wire(text: str) -> str:
    """Return a header as a WSGI server hands it over: each byte is one character (PEP 3333)."""
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def escaped(text: str) -> str:
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"))


def is_told(answer: Any) -> bool:
    """Return whether the status is below 500 and a refusal has a code."""
    if answer.status_code < 400:
        return True
    if answer.status_code >= 500:
        return False
    if not answer.content:  # to HEAD
        return True
    if answer["Content-Type"] in ("application/problem+json", "application/json"):
        return bool({"code", "error"} & answer.json().keys())
    return answer.status_code in (400, 404, 405)  # Django's own refusals, before or behind securecore's views


#: Each header meets each text on two paths, each header and each text meets each path.
SOME_PATHS = {
    (header, name): [PATHS[(column + row) % len(PATHS)], PATHS[(column + 2 * row + 3) % len(PATHS)]]
    for row, header in enumerate(HEADERS)
    for column, name in enumerate(TEXTS)
}


@pytest.mark.parametrize("header", HEADERS)
def test_no_header_is_a_500(mtls_client: Clients, header: str) -> None:
    send_in_header(mtls_client, header, SOME_PATHS)


@pytest.mark.matrix
@pytest.mark.parametrize("header", HEADERS)
def test_no_header_is_a_500_on_any_path(mtls_client: Clients, header: str) -> None:
    send_in_header(mtls_client, header, dict.fromkeys(product(HEADERS, TEXTS), PATHS))


def send_in_header(mtls_client: Clients, header: str, paths: dict[tuple[str, str], list[str]]) -> None:
    client = mtls_client("alice", raise_request_exception=False)
    for name, text in TEXTS.items():
        for path in paths[header, name]:
            headers: dict[str, Any] = {"CONTENT_TYPE": "application/json", header: on_the_wire(text)}
            answer = client.generic("POST", path, b"{}", **headers)
            assert is_told(answer), (name, path, answer.status_code, answer.content[:200])


@pytest.mark.parametrize("scheme", ["Bearer", "DPoP", ""])
@pytest.mark.parametrize("path", ["/both", "/proof-only", "/old-and-new", "/migration"])
def test_no_token_is_a_500(client: MutualTLSClient, scheme: str, path: str) -> None:
    for name, text in TEXTS.items():
        for presented in (text, f"{text}.{text}.{text}", f"eyJhbGciOiJFUzI1NiJ9.{text}.{text}"):
            answer = client.get(path, HTTP_AUTHORIZATION=on_the_wire(f"{scheme} {presented}"))
            assert is_told(answer), (name, answer.status_code)


def ask_for_a_token(client: MutualTLSClient, path: str, body: str, **headers: Any) -> Any:
    return client.generic("POST", path, body.encode(), CONTENT_TYPE="application/x-www-form-urlencoded", **headers)


@pytest.mark.parametrize("claim", ["jti", "htm", "htu", "ath", "nonce", "iat", "sub"])
def test_no_claim_of_a_proof_is_a_500(mtls_client: Clients, claim: str) -> None:
    client = mtls_client("alice", raise_request_exception=False)
    body = f"grant_type={quote(CERTIFICATE_GRANT)}&client_id=alice"
    for name, text in TEXTS.items():
        proof = prove("/oauth/token", "POST", **dict[str, Any]({claim: text}))
        answer = ask_for_a_token(client, "/oauth/token", body, HTTP_DPOP=proof)
        assert is_told(answer), (name, answer.content)


@pytest.mark.parametrize("parameter", ["grant_type", "client_id", "scope", "refresh_token", "token", "token_type_hint"])
@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect"])
def test_no_parameter_of_a_form_is_a_500(client: MutualTLSClient, path: str, parameter: str) -> None:
    for name, text in TEXTS.items():
        for grant_type in (CERTIFICATE_GRANT, "refresh_token", "client_credentials"):
            honest = {"grant_type": grant_type, "token": "x", "refresh_token": "x"}
            pairs = [f"{each}={quote(value)}" for each, value in honest.items() if each != parameter]
            answer = ask_for_a_token(client, path, "&".join([*pairs, f"{parameter}={escaped(text)}"]))
            assert is_told(answer), (name, answer.content)


@pytest.mark.parametrize("field", ["username", "password"])
@pytest.mark.parametrize("path", ["/login/password", "/login/both", "/auth/login"])
def test_no_field_of_a_login_is_a_500(client: MutualTLSClient, path: str, field: str) -> None:
    for name, text in TEXTS.items():
        fields = {"username": "alice", "password": "wrong", field: text}
        answer = client.generic("POST", path, json.dumps(fields).encode(), CONTENT_TYPE="application/json")
        assert is_told(answer), (name, answer.content)
        assert path == "/auth/login" or answer.status_code >= 400, name


BODIES = [
    *(b"[]", b"null", b'"x"', b"7", b"", b"{", b"\0", b"\xff", b"NaN", b"-Infinity", b"9" * 5_000),
    *(b"[" * 100_000, b'{"a":' * 100_000, b"{}\xed\xa0\x80", b'{"username": {}, "password": []}'),
    *(b'{"username": 1, "password": true}', b'{"username": null, "password": null}'),
    b'{"username": "a", "password": "' + b"x" * 100_000 + b'"}',
]
TYPES = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"]


@pytest.mark.parametrize("path", ["/login/password", "/login/both", "/oauth/token", "/reading"])
def test_no_body_is_a_500(client: MutualTLSClient, path: str) -> None:
    for body in BODIES:
        for content_type in TYPES:
            answer = client.generic("POST", path, body, CONTENT_TYPE=content_type, HTTP_IDEMPOTENCY_KEY="k")
            assert is_told(answer), (body[:20], content_type, answer.content)


def test_no_path_is_a_500(client: MutualTLSClient) -> None:
    for name, text in TEXTS.items():
        raw = escaped(text)
        for path in (f"/auth/sessions/{raw}", f"/any/{raw}", f"/{raw}", f"//{raw}/..//.", f"/auth/{raw}/login"):
            for method in ("GET", "POST", "DELETE"):
                assert is_told(client.generic(method, path)), (name, path)


METHODS = ["HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "CONNECT", "PROPFIND", "get", "G\0T", "", "X" * 9_000]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: ascii(method)[:12])
def test_no_method_is_a_500(client: MutualTLSClient, method: str) -> None:
    for path in PATHS:
        assert is_told(client.generic(method, path)), path


def test_no_cookie_is_a_500(client: MutualTLSClient) -> None:
    for name, text in TEXTS.items():
        for cookie in (f"{text}=x", f"__Host-sessionid={text}", f'__Host-sessionid="{text}"', f"{text};" * 1_000):
            assert is_told(client.get("/session", HTTP_COOKIE=on_the_wire(cookie))), name


@pytest.mark.parametrize("header", ["HTTP_USER_AGENT", "HTTP_X_REAL_IP"])
def test_what_a_session_shows_of_its_browser_can_be_stored(mtls_client: Clients, header: str) -> None:
    alice = mtls_client("alice", raise_request_exception=False)
    for name, text in TEXTS.items():
        assert alice.post("/auth/login", **dict[str, Any]({header: on_the_wire(text)})).status_code == 200, name
    shown = alice.get("/auth/sessions").json()["results"]
    assert all(row["device"].isprintable() and row["address"] == "" for row in shown)
