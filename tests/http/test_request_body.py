"""No transaction waits for the client: the body is received before the transaction, and Django then
uses it as always.
"""

from __future__ import annotations

import io
import json
import secrets
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import RequestFactory

from securecore import clock
from securecore.grants import grant, principal_of
from securecore.http.edge.request_body import receive_body
from securecore.http.request import django_request
from securecore.testing import MutualTLSClient
from tests.http.body_urls import MAKE
from tests.support.views import effects

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.http.body_urls")]

URLS = ["/required", "/late", "/by-hand", "/late-by-hand", "/keyed", "/fresh", "/granted", "/granted-lazily"]
BODY = json.dumps({"amount": 5}).encode()


class Wire(io.BytesIO):
    """A connection that records, at each wait, whether a transaction was open."""

    def __init__(self, content: bytes = BODY, fails: bool = False) -> None:
        super().__init__(content)
        self.waited_in_transaction: list[bool] = []
        self._fails = fails

    def read(self, *size: Any) -> bytes:
        self.waited_in_transaction.append(connection.in_atomic_block)
        data = super().read(*size)
        if self._fails and not data:
            raise ConnectionResetError
        return data

    readline = read


@pytest.fixture
def client(mtls_client: Callable[..., MutualTLSClient]) -> MutualTLSClient:
    client = mtls_client("alice", raise_request_exception=False)
    grant(principal=principal_of(User.objects.get(username="alice")), permission=MAKE, now=clock.now())
    return client


def post(client: MutualTLSClient, url: str, wire: Wire, length: int = len(BODY)) -> Any:
    headers = {"Idempotency-Key": secrets.token_hex(8)}
    headers |= {"X-Request-Timestamp": f"{clock.now().timestamp():.0f}", "X-Request-Nonce": secrets.token_hex(16)}
    extra: dict[str, Any] = {"wsgi.input": wire, "CONTENT_LENGTH": str(length)}
    return client.post(url, BODY, content_type="application/json", headers=headers, **extra)


@pytest.mark.parametrize("url", URLS)
def test_no_transaction_waits_for_the_body(client: MutualTLSClient, url: str, settings: Any) -> None:
    wire = Wire()
    answer = post(client, url, wire)
    assert answer.status_code == 201, answer.content
    assert wire.waited_in_transaction
    assert not any(wire.waited_in_transaction)
    expected = {"data": {"amount": 5}} if "granted" in url else {"body": BODY.decode()}
    assert answer.json() == {**expected, "is_atomic": url != "/fresh"}


@pytest.mark.parametrize("url", ["/fresh"])
def test_nor_that_of_atomic_requests_behind_fresh(
    client: MutualTLSClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    wire = Wire()
    answer = post(client, url, wire)
    assert answer.json() == {"body": BODY.decode(), "is_atomic": True}
    assert not any(wire.waited_in_transaction)


@pytest.mark.parametrize("url", ["/by-hand", "/required", "/granted"])
def test_no_gate_waits_for_the_body_under_atomic_requests(
    client: MutualTLSClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django opens that transaction before any view; the gate comes after the body."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    asked: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        asked.append(sql)
        return execute(sql, *rest)

    class NotedWire(Wire):
        def read(self, *size: Any) -> bytes:
            asked.append("BODY")
            return super().read(*size)

    with connection.execute_wrapper(note):
        assert post(client, url, NotedWire()).status_code == 201
    last = max(n for n, sql in enumerate(asked) if sql == "BODY")
    # PostgreSQL takes the locks and reads the grants in one function.
    is_check = [("securecore_gate_check_" in sql) or ("sc_permissions" in sql) for sql in asked]
    first_gate = is_check.index(True)
    assert last < first_gate


@pytest.mark.parametrize("url", [url for url in URLS if url != "/fresh"])  # that view reads the body itself
@pytest.mark.parametrize("fails", [False, True], ids=["ends", "breaks"])
def test_a_body_that_stops_early_does_nothing(client: MutualTLSClient, url: str, fails: bool) -> None:
    answer = post(client, url, Wire(BODY[:-3], fails), len(BODY))
    assert (answer.status_code, answer.json().get("code")) == (400, "body-incomplete")
    assert effects() == 0


def test_a_body_that_middleware_read_is_complete_too(client: MutualTLSClient, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.http.test_request_body.reads_bodies"]
    assert post(client, "/required", Wire()).json()["body"] == BODY.decode()
    assert post(client, "/required", Wire(BODY[:-3]), len(BODY)).json()["code"] == "body-incomplete"
    assert effects() == 1


def reads_bodies(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        _ = request.body
        return get_response(request)

    return middleware


@pytest.mark.parametrize("size", [10, 3_000_000], ids=["in-memory", "spooled"])
def test_uploads_are_parsed_as_django_does(client: MutualTLSClient, size: int) -> None:
    file = SimpleUploadedFile("report.txt", b"x" * size)
    answer = client.post("/upload", {"file": file, "note": "of May"})
    assert answer.json() == {
        "size": size,
        "note": "of May",
        "class": "InMemoryUploadedFile" if size < 2_621_440 else "TemporaryUploadedFile",
    }


def test_uploads_reach_the_parsers_of_rest_framework(client: MutualTLSClient) -> None:
    answer = client.post("/granted", {"file": SimpleUploadedFile("report.txt", b"hello"), "note": "of May"})
    assert answer.json()["data"] == {"file": "hello", "note": ["of May"]}


def test_limits_of_django_hold(client: MutualTLSClient, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = len(BODY) - 1
    assert post(client, "/required", Wire()).status_code == 413 or effects() == 0
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = len(BODY)
    assert post(client, "/required", Wire()).status_code == 201


def test_nothing_stays_in_memory_where_django_says_so(rf: RequestFactory, settings: Any) -> None:
    """0 sends each upload to a file. The whole body, of any size, stayed in memory."""
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 0
    request: Any = rf.post("/", b"x" * 100_000, content_type="application/octet-stream")
    tracemalloc.start()
    receive_body(request)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 50_000
    assert request.read() == b"x" * 100_000


def test_a_disk_of_ours_that_fails_is_not_the_clients_mistake(rf: RequestFactory, settings: Any) -> None:
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE, settings.FILE_UPLOAD_TEMP_DIR = 10, "/nowhere"
    with pytest.raises(FileNotFoundError):
        receive_body(django_request(rf.post("/", b"x" * 100, content_type="application/octet-stream")))


def test_a_caller_who_is_nobody_is_not_waited_for(client: MutualTLSClient) -> None:
    """An anonymous client must not hold a thread by a slow body."""
    for url in ("/required", "/by-hand", "/granted", "/granted-lazily"):
        wire = Wire(b" " * 100_000)  # a small body is read after the view, in a search for session ids
        nobody = MutualTLSClient(None, raise_request_exception=False)
        assert post(nobody, url, wire, 100_000).status_code == 401, url
        assert (url, wire.waited_in_transaction) == (url, [])
