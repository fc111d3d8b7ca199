"""Requests that are legal HTTP and meant to be expensive: encodings, sizes, hosts, spellings."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from securecore.testing import MutualTLSClient
from tests.tokens.calls import FORM

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.hostile_urls")]

Clients = Callable[..., MutualTLSClient]


@pytest.fixture(params=["alice", None], ids=["with certificate", "without"])
def client(request: pytest.FixtureRequest, mtls_client: Clients) -> MutualTLSClient:
    return mtls_client(request.param, raise_request_exception=False)


def sent(client: MutualTLSClient, path: str, body: bytes, content_type: str, **headers: Any) -> Any:
    return client.generic("POST", path, body, content_type=content_type, CONTENT_TYPE=content_type, **headers)


class TestCharset:
    @pytest.mark.parametrize("name", ["punycode", "PunyCode", "idna", "undefined", "hex", "base64", "rot13", "zlib"])
    @pytest.mark.parametrize("path", ["/auth/login", "/oauth/token", "/views/idempotent", "/session"])
    def test_charset_that_is_no_text_or_takes_quadratic_time_is_refused(
        self, mtls_client: Clients, name: str, path: str
    ) -> None:
        """Python takes 17 s to decode a form of 600 KB in punycode, and Django decodes it for anonymous clients too."""
        client = mtls_client(None, raise_request_exception=False)
        answer = sent(client, path, b"a=" + b"b" * 30 + b"-" + b"a" * 30, f"{FORM}; charset={name}")
        assert (answer.status_code, answer.json()["code"]) == (400, "charset-refused")

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize(
        "kind",
        [
            *(f"text/plain; charset={name}" for name in ("hex", "punycode", "idna", "undefined", "rot13")),
            "text/plain; CHARSET*=utf-8''hex",
            "text/plain; a*=nothing''%41",  # Django decodes every parameter of this form
        ],
    )
    def test_charset_is_refused_before_django_decodes_the_query_in_it(
        self, client: MutualTLSClient, method: str, kind: str
    ) -> None:
        """Django decodes the query while it makes the request, before any middleware: the exception left the WSGI
        callable, and the server closed the connection."""
        answer = client.generic(method, "/session", b"", CONTENT_TYPE=kind, QUERY_STRING="a=" + "\xe4-" * 70)
        assert (answer.status_code, answer.json()["code"]) == (400, "charset-refused")

    @pytest.mark.parametrize("name", ["utf-8", "UTF-8", "iso-8859-1", "us-ascii", "utf-16", "koi8-r", "nothing", ""])
    def test_charset_that_is_text_is_not(self, client: MutualTLSClient, name: str) -> None:
        answer = sent(client, "/session", b"value=a", f"{FORM}; charset={name}")
        assert b"charset-refused" not in answer.content


class Counting(io.BytesIO):
    """A body that counts the bytes that were read."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


@pytest.mark.parametrize(
    "path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect", "/login/password", "/login/both"]
)
@pytest.mark.parametrize("kind", [FORM, "application/json"])
def test_a_body_is_read_up_to_the_limit_of_the_project(
    client: MutualTLSClient, path: str, kind: str, settings: Any
) -> None:
    """REST framework's parsers read the whole body into memory, before the caller is known."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000
    body = Counting(b'{"username": "' + b"a" * 200_000 + b'"}')
    length = str(len(body.getvalue()))
    coming: dict[str, Any] = {"CONTENT_TYPE": kind, "CONTENT_LENGTH": length, "wsgi.input": body}
    answer = client.generic("POST", path, b"", **coming)
    assert answer.status_code in (400, 401, 403, 413, 415)
    assert body.taken <= 10_001


class HangingUp(io.BytesIO):
    """A body of a client that closes the connection before it has sent anything."""

    def read(self, size: int | None = -1) -> bytes:
        raise ConnectionResetError


@pytest.mark.parametrize(
    ("path", "kind", "code"),
    [
        ("/oauth/token", FORM, "invalid_request"),
        ("/login/password", "application/json", "body-incomplete"),
        ("/session", "multipart/form-data; boundary=x", "body-incomplete"),
        ("/session", FORM, "body-incomplete"),
    ],
)
def test_a_client_that_hangs_up_is_no_500(client: MutualTLSClient, path: str, kind: str, code: str) -> None:
    stream: dict[str, Any] = {"wsgi.input": HangingUp()}
    answer = client.generic("POST", path, b"", CONTENT_TYPE=kind, CONTENT_LENGTH="9", **stream)
    said = answer.json()
    assert (answer.status_code, said.get("code") or said["error"]) == (400, code)


@pytest.mark.parametrize("text", ["\udcff", "a\ud800", "\0", "\U0010ffff"])
def test_an_error_that_quotes_what_came_can_be_written(client: MutualTLSClient, text: str) -> None:
    """``ChoiceField`` quotes the value. Half a surrogate pair is legal in JSON and cannot be written in UTF-8."""
    answer = client.post("/choosing", {"kind": text}, content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert "kind" in answer.json()["errors"]


@pytest.mark.parametrize("length", ["5", "0", "00002", "999", "999999999999999999"])
def test_a_length_that_is_not_the_body_s_is_no_500(client: MutualTLSClient, length: str) -> None:
    for path in ("/auth/login", "/oauth/token", "/views/idempotent", "/login/password", "/reading"):
        for content_type in ("application/json", FORM, "multipart/form-data; boundary=x"):
            coming: dict[str, Any] = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": length}
            coming["wsgi.input"] = io.BytesIO(b"{}")
            answer = client.generic("POST", path, b"", **coming)
            assert answer.status_code < 500, (path, content_type)


def test_hundreds_of_headers_and_parameters_are_no_500(client: MutualTLSClient) -> None:
    many: dict[str, Any] = {f"HTTP_X_SSL_{number}": "x" * 50 for number in range(500)}
    many |= {f"HTTP_X_SESSION_ID_{number}": "A" * 43 for number in range(500)}
    for path in ("/auth/login", "/both", "/replay/signature", "/oauth/token"):
        assert client.generic("POST", f"{path}?{'a=1&' * 900}", b"{}", **many).status_code < 500
