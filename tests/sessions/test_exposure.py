"""Session ids in URLs, headers and bodies: never accepted, always reported, without any other effect."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from securecore.events import SessionIdExposed
from securecore.http.sessions.exposure import WatchedBody
from securecore.testing import MutualTLSClient
from tests.events.recorder import of_kind, recorded
from tests.sessions.test_endpoints import COOKIE, log_in

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.sessions.urls")]

Clients = Callable[..., MutualTLSClient]
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
KEY = "0123456789abcdef0123456789abcdef0123456789a"


@pytest.fixture
def alice(mtls_client: Clients) -> MutualTLSClient:
    client = mtls_client("alice")
    log_in(client)
    return client


class TestExposedId:
    @pytest.mark.parametrize("place", ["query", "path", "header", "body", "form"])
    def test_exposed_id_that_is_live_is_reported_and_not_read(
        self, alice: MutualTLSClient, mtls_client: Clients, place: str
    ) -> None:
        key = str(alice.cookies[COOKIE].value)
        client = mtls_client("alice")
        with recorded() as events:
            if place == "query":
                answer = client.get(f"/session?x={key}")
            elif place == "path":
                answer = client.get(f"/session/{key}")
            elif place == "header":
                answer = client.get("/session", HTTP_X_SESSION_ID=key)
            elif place == "form":
                answer = client.post("/session", f"value=1&sessionid={key}", "application/x-www-form-urlencoded")
            else:
                answer = client.post("/by-session", {"session_key": key}, JSON)
        exposed = of_kind(events, SessionIdExposed)
        assert [(event.place, event.live) for event in exposed] == [("body" if place == "form" else place, True)]
        assert exposed[0].user == str(User.objects.get(username="alice").pk)
        assert key not in repr(exposed)
        assert answer.status_code in (200, 401, 403, 404)
        assert b"alice" not in answer.content

    @pytest.mark.parametrize("name", ["sessionid", COOKIE, "jsessionid", "PHPSESSID", "sid"])
    def test_exposed_id_that_only_looks_like_one_is_reported(self, mtls_client: Clients, name: str) -> None:
        with recorded() as events:
            mtls_client(None).get(f"/seen?{name}=0123456789abcdef0123456789abcdef")
        assert [(event.live, event.user) for event in of_kind(events, SessionIdExposed)] == [(False, None)]

    @pytest.mark.parametrize("query", ["a=1", "session=yes", f"x={'a' * 43}", "inside=0123456789abcdef"])
    def test_exposed_id_that_is_something_else_is_not(self, mtls_client: Clients, query: str) -> None:
        with recorded() as events:
            mtls_client(None).get(f"/seen?{query}")
        assert of_kind(events, SessionIdExposed) == []


class TestBody:
    """For every size and type, and every way in which a view reads the body."""

    @pytest.fixture
    def key(self, alice: MutualTLSClient) -> str:
        return str(alice.cookies[COOKIE].value)

    @pytest.mark.parametrize("how", ["fields", "handlers", "pieces", "lines", "body", "nothing"])
    def test_body_of_several_parts_is_reported(self, mtls_client: Clients, key: str, how: str) -> None:
        file = BytesIO(b"\0" * 5_000)
        file.name = "file"
        answer, exposed = upload(mtls_client, how, {"comment": "x", "sessionid": key, "file": file})
        assert [(event.place, event.live) for event in exposed] == [("body", True)]
        assert key not in repr(exposed)
        if how == "fields":
            assert answer == {"comment": "x", "sessionid": key, "file": "\0" * 5_000}
        elif how == "handlers":
            assert answer == {"file": "TemporaryUploadedFile"}
        else:
            length = len(encode_multipart(BOUNDARY, {"comment": "x", "sessionid": key, "file": "\0" * 5_000}))
            assert how == "nothing" or answer["bytes"] > length

    @pytest.mark.parametrize("before", [5_000, 65_500, 65_536, 200_000])
    @pytest.mark.parametrize("how", ["pieces", "body"])
    @pytest.mark.parametrize("content_type", [FORM, JSON, "text/plain"])
    def test_body_of_any_size_is_reported(
        self, mtls_client: Clients, key: str, content_type: str, how: str, before: int
    ) -> None:
        body = "a" * before + f"&session_key={key.replace('-', '%2D') if content_type == FORM else key}&b=1"
        answer, exposed = upload(mtls_client, how, body, content_type)
        assert answer == {"bytes": len(body)}
        assert [event.live for event in exposed] == [True]

    def test_body_that_is_large_and_read_by_nobody_is_left_alone(self, mtls_client: Clients, key: str) -> None:
        """No view received such a body, and it may have gigabytes."""
        assert upload(mtls_client, "nothing", f"sessionid={key}&a=" + "a" * 70_000, FORM)[1] == []

    @pytest.mark.parametrize("limit", [10, None])
    def test_body_that_is_too_large_for_the_project_is_refused_as_ever(
        self, mtls_client: Clients, settings: Any, limit: int | None
    ) -> None:
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = limit
        client = mtls_client(None)
        statuses = [client.post(f"/upload?how={how}", "a=" + "b" * 20, FORM).status_code for how in ("nothing", "body")]
        assert statuses == [200, 400 if limit else 200]

    def test_body_that_names_something_else_is_not(self, mtls_client: Clients) -> None:
        for body in ({"session": "yes"}, {"inside": KEY}, {"sidebar": KEY}, {"x": KEY}):
            assert upload(mtls_client, "fields", body)[1] == []


def upload(mtls_client: Clients, how: str, body: Any, content_type: str = MULTIPART_CONTENT) -> tuple[Any, list[Any]]:
    with recorded() as events:
        answer = mtls_client(None).post(f"/upload?how={how}", body, content_type)
    return answer.json(), of_kind(events, SessionIdExposed)


def watched(body: bytes, content_type: str = FORM) -> WatchedBody:
    request: Any = RequestFactory().post("/", b"x", content_type=content_type)
    request._stream = BytesIO(body)
    return WatchedBody(request)


class TestWatchedBody:
    def test_watched_body_finds_the_same_however_it_is_read(self) -> None:
        chance = random.Random(20261122)
        for _ in range(60):
            names = chance.choices(["sid=", "__Host-sessionid=", "jsessionid%3D", "x_session_key="], k=3)
            gaps = [b"a" * chance.choice([7, 100, 65_530, 65_536, 57_344, 131_000]) for _ in names]
            keys = ["".join(chance.choices("abcXYZ019-_", k=43)) for _ in names]
            body = b"".join(gap + b"&" + f"{n}{k}&".encode() for gap, n, k in zip(gaps, names, keys, strict=True))
            for size in (-1, 1_000, 65_536, 99_991):
                stream = watched(body)
                while stream.read(size):
                    pass
                assert stream.named_ids() == keys

    def test_watched_body_cuts_no_name_and_no_value_in_two(self) -> None:
        """At every position around the end of a block: never half an id, never half a name that
        looks like a whole one.
        """
        for place in range(65_536 - 120, 65_536 + 20):
            stream = watched(b"a" * place + f"&sid={KEY}&".encode() + b"b" * 70_000)
            stream.read()
            assert stream.named_ids() == [KEY]
        for place in range(57_344 - 30, 57_344 + 10):
            stream = watched(b"a" * place + f"in-aside={KEY}&".encode() + b"b" * 70_000)
            stream.read()
            assert stream.named_ids() == []

    def test_watched_body_is_otherwise_the_stream_that_it_watches(self) -> None:
        """Each version of Django uses another part of the stream's interface."""
        stream = watched(b"a")
        assert stream.seekable()
        stream.close()
        with pytest.raises(ValueError, match="closed"):
            stream.read()

    def test_watched_body_extends_its_block_in_place(self) -> None:
        """An immutable block would be copied for each line: 2 GB of copies for a block of empty lines."""
        stream = watched(b"\n" * 200_000)
        block = stream._pending
        while stream.readline():
            assert stream._pending is block
        assert len(block) < 65_536

    def test_watched_body_holds_a_block_and_eight_ids(self) -> None:
        stream = watched(b"".join(b"sid=%043d&" % number for number in range(200_000)))
        tracemalloc.start()
        while stream.read(8_192):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(stream.named_ids()) == 8
        assert peak < 1_000_000
