"""A replay is the first response, byte by byte: status, reason phrase, headers and body. Only cookies are left out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from securecore.errors import Misuse
from tests.support.views import effects

pytestmark = [pytest.mark.urls("tests.idempotency.exact_views"), pytest.mark.django_db(transaction=True)]

KEY = {"Idempotency-Key": "k"}


@pytest.fixture
def client(mtls_client: Callable[..., Any]) -> Any:
    return mtls_client("alice", permissions=["things.make"])


def whole(response: Any) -> dict[str, Any]:
    headers = {name: value for name, value in response.items() if name != "Idempotency-Replayed"}
    return {
        "status": response.status_code,
        "reason": response.reason_phrase,
        "headers": headers,
        "body": response.content,
        "charset": response.charset,
    }


def assert_replayed(send: Callable[[], Any]) -> Any:
    first, again = send(), send()
    assert "Idempotency-Replayed" in again
    assert whole(again) == whole(first)
    return first


KINDS = ["phrase", "no-type", "redirect", "accepted", "bytes", "charset", "nothing"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_replay_of_a_function_is_the_first_response(client: Any, kind: str) -> None:
    assert_replayed(lambda: client.post(f"/odd?kind={kind}", headers=KEY))
    assert effects() == 1


def test_a_replay_of_a_deletion_has_no_content_type(client: Any) -> None:
    first = assert_replayed(lambda: client.delete("/rest", headers=KEY))
    assert (first.status_code, "Content-Type" in first) == (204, False)


def test_a_replay_of_rest_framework_is_the_first_response(client: Any) -> None:
    assert_replayed(lambda: client.put("/rest", {}, content_type="application/json", headers=KEY))


def test_a_replay_of_an_action_is_the_first_response(client: Any) -> None:
    first = assert_replayed(lambda: client.post("/things/7/pay", headers=KEY))
    assert first["Content-Type"] == "application/vnd.paid+json"
    assert client.post("/things/8/pay", headers=KEY).status_code == 422


@pytest.mark.parametrize("url", ["/caught", "/caught/required"])
@pytest.mark.parametrize("how", ["create", "update", "savepoint"])
def test_a_view_that_catches_a_database_error_answers_400(client: Any, url: str, how: str) -> None:
    first = assert_replayed(lambda: client.post(f"{url}?how={how}&status=400", headers=KEY))
    assert (first.status_code, first.json()) == (400, {"is": "taken"})
    assert effects() == 0


@pytest.mark.parametrize("url", ["/caught", "/caught/required"])
def test_a_view_with_a_savepoint_may_answer_200(client: Any, url: str) -> None:
    first = assert_replayed(lambda: client.post(f"{url}?how=savepoint&status=200", headers=KEY))
    assert first.status_code == 200
    assert effects() == 2


@pytest.mark.parametrize("url", ["/caught", "/caught/required"])
@pytest.mark.parametrize(("how", "status"), [("query", 400), ("create", 200), ("update", 200)])
def test_a_view_that_goes_on_in_a_broken_transaction_is_misuse(client: Any, url: str, how: str, status: int) -> None:
    for _ in range(2):
        with pytest.raises(Misuse, match=r"atomic\(\)"):
            client.post(f"{url}?how={how}&status={status}", headers=KEY)
    assert effects() == 0


@pytest.mark.parametrize("url", ["/caught", "/caught/required"])
def test_a_view_whose_own_sql_failed_is_misuse_where_it_breaks_the_transaction(client: Any, url: str) -> None:
    """Django marks no transaction as broken after SQL of the view. PostgreSQL does, and SQLite does not."""
    is_broken = connection.vendor == "postgresql"
    with pytest.raises(Misuse, match=r"atomic\(\)") if is_broken else nullcontext():
        assert client.post(f"{url}?how=sql&status=200", headers=KEY).status_code == 200
    assert effects() == (0 if is_broken else 2)


@pytest.mark.parametrize("url", ["/durable", "/durable/required", "/durable/granted"])
def test_a_durable_block_is_misuse(client: Any, url: str) -> None:
    with pytest.raises(Misuse, match="durable"):
        client.post(url, headers=KEY)
    assert effects() == 0


@pytest.mark.parametrize("size", [10, 3_000_000])
@pytest.mark.parametrize("url", ["/upload/handler", "/upload/class", "/upload/function"])
def test_an_upload_has_one_effect(client: Any, url: str, size: int) -> None:
    def send(content: bytes = b"a") -> Any:
        # Both requests have the same bytes; the test client writes a fixed boundary.
        return client.post(url, {"file": SimpleUploadedFile("x.bin", content * size), "note": "n"}, headers=KEY)

    first = assert_replayed(send)
    assert (first.status_code, first.json()["size"]) == (201, size)
    assert send(b"b").status_code == 422
    assert effects() == 1
