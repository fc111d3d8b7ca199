"""Strange services and documents: the scan ends with a report, and never with the exit code of findings."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from securecore_scan import cli, discovery, scan
from securecore_scan.client import transport as transport_module
from securecore_scan.client.operations import Operation
from securecore_scan.client.request import Request
from securecore_scan.client.target import Target
from securecore_scan.discovery import accounts, bodies, document
from securecore_scan.plan import Plan
from securecore_scan.redaction import Redactor
from tests.scanner.conftest import open_transport, scanned
from tests.scanner.service import Answer, serving

NESTED = b"[" * 100_000 + b"]" * 100_000
SCHEMA = {
    "type": "object",
    "required": ["a", 3, ["x"], "b", "c", "d"],
    "properties": {"a": {"anyOf": ["x", None]}, "b": {"oneOf": [None, {"type": "integer"}]}, "c": {"format": ["x"]}},
}
DOCUMENTS = {
    "nested": b'{"openapi": "3.0.0", "paths": {}, "x": ' + NESTED + b"}",
    "server": json.dumps({"paths": {"/a": {"get": {}}}, "servers": [{"url": "http://[bad"}]}).encode(),
    "yaml": b"openapi: 3.0.0\npaths:\n  1: { get: {} }\n  /notes:\n    on: {}\n    400: {}\n    post: {}\n",
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_strange_document_ends_with_a_report(name: str) -> None:
    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if path == "/openapi.json":
            return 200, {}, DOCUMENTS[name]
        return 401, {}, {}

    with serving(answer) as service:
        found = scanned(service.url, "--only", "SC-BFLA")
    assert found.code == 3, found.errors
    assert set(found.verdicts) == {"SC-BFLA-1", "SC-BFLA-2"}


def test_deeply_nested_responses_end_with_a_report() -> None:
    with serving(lambda *_: (200, {}, NESTED)) as service:
        found = scanned(service.url, "--only", "SC-BFLA")
    assert found.code == 3, found.errors
    assert set(found.verdicts) == {"SC-BFLA-1", "SC-BFLA-2"}


def test_error_before_the_checks_is_an_incomplete_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1 would say that the service has findings."""

    def broken(*_: object) -> None:
        raise TypeError("unhashable type")

    monkeypatch.setattr(discovery, "complete", broken)
    with serving(lambda *_: (200, {}, {})) as service:
        found = scanned(service.url)
    assert found.text, "there is a report"
    assert found.code == 3
    assert found.content["stopped"] == "the search for routes met an error: TypeError: unhashable type"


def test_login_that_is_limited_ends_with_a_report() -> None:
    logins: list[str] = []
    fields: dict[str, Any] = {"properties": {"username": {}, "password": {}}}
    body = {"requestBody": {"content": {"application/json": {"schema": fields}}}}
    paths = {"/register": {"post": body}, "/login": {"post": body}, "/me": {"get": {}}}

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if path == "/openapi.json":
            return 200, {}, {"paths": paths}
        if path == "/login" and method == "POST":
            logins.append(path)
            return (200, {}, {"access_token": "a-token"}) if len(logins) <= 2 else (429, {}, {})
        return (201 if path == "/register" else 404), {}, {}

    with serving(answer) as service:
        found = scanned(service.url, "--only", "SC-TOKEN")
    assert len(logins) > 2
    assert found.text, "there is a report"
    assert found.code == 3, found.errors
    assert found.content["stopped"] == "the search for routes ended: POST /login answered 429"


def test_error_of_the_program_itself_is_no_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> str:
        raise TypeError("no such format")

    monkeypatch.setattr(scan, "render", broken)
    with serving(lambda *_: (404, {}, {})) as service:
        assert cli.main([service.url, "--only", "SC-BFLA", "--quiet"]) == 3
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "nothing was decided" in said


def test_plan_that_cannot_be_written_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda *_: (404, {}, {})) as service:
        code = cli.main(["init", service.url, "--output", str(tmp_path)])
    said = capsys.readouterr()
    assert code == 2
    assert "Cannot write" in said.err
    assert "[tokens]" in said.out


@pytest.mark.parametrize("name", ["no", "on", "yes", "off"])
def test_names_of_yaml_stay_texts(name: str, tmp_path: Path) -> None:
    """OpenAPI is YAML 1.2, where ``no`` is a text. YAML 1.1 reads it as ``false``."""
    path = tmp_path / "openapi.yaml"
    path.write_text(f"openapi: 3.1.0\npaths: {{}}\n{name}: {name}\nyes_: true\n200: 200\n")
    with open_transport("http://localhost:1") as transport:
        found = document.read(Target(transport, Plan(), Redactor()), str(path))
    assert (found.get(name), found["yes_"], found.get("200")) == (name, True, 200)


@pytest.mark.parametrize("schema", [SCHEMA, {"type": "object", "properties": [1]}, {"anyOf": ["x"]}])
def test_body_of_a_malformed_schema_is_a_guess(schema: Any) -> None:
    operation = Operation("POST", "/notes", schema)
    assert bodies.call(operation).json is not None
    example = Operation("POST", "/notes", {"properties": {"a": 3}}, example={"a": "b"})
    assert bodies.call(example).json == {"a": "{canary}"}


@pytest.mark.parametrize(
    ("kind", "value"),
    [(["integer", "null"], 1), (["null", "boolean"], False), (["string", "null"], "{canary}"), ("integer", 1)],
)
def test_body_has_values_of_the_type_in_a_list(kind: Any, value: Any) -> None:
    schema = {"type": ["object", "null"], "properties": {"amount": {"type": kind}}}
    assert bodies.call(Operation("POST", "/notes", schema)).json == {"amount": value}


def test_stream_of_events_does_not_hold_the_scan() -> None:
    """Server-sent events have no end. Without a limit the scan waits for them, whatever --budget says."""
    with endless(b"text/event-stream") as (url, ended), open_transport(url) as transport:
        answer = transport.send(Request("GET", "/events"))
        assert (answer.status_code, answer.content) == (200, b"")
        assert ended.wait(5), "the connection is closed"


@pytest.mark.parametrize(("name", "value", "said"), [("TIMEOUT", 0.3, "0.3 seconds"), ("LARGEST", 1000, "1,000 bytes")])
def test_response_without_an_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch, name: str, value: float, said: str
) -> None:
    monkeypatch.setattr(transport_module, name, value)
    with endless(b"application/json") as (url, ended), open_transport(url) as transport:
        with pytest.raises(httpx.ReadError, match=said):
            transport.send(Request("GET", "/"))
        assert transport.budget.failed == 1
        assert ended.wait(5), "the connection is closed"


def test_route_without_an_end_does_not_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """A route of the document that never answers is no route that demands the token, and the next one is tried."""

    def get(self: Target, path: str, role: str = "owner", headers: Any = None) -> httpx.Response:
        raise httpx.ReadError("the response did not end")

    monkeypatch.setattr(Target, "get", get)
    with open_transport("http://localhost:1") as transport:
        found = Target(transport, Plan(), Redactor())
        assert not accounts._refuses(found, "/events", {})
        assert accounts._refuses(found, "/events", {"Authorization": "Bearer x"})


@contextlib.contextmanager
def endless(kind: bytes) -> Iterator[tuple[str, threading.Event]]:
    """Answer one request without an end, and set the event when the client hangs up."""
    ended = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\n\r\n")
            for _ in range(400):
                connection.sendall(b": keep-alive\n\n" * 4)
                time.sleep(0.02)
            return
        ended.set()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", ended
    finally:
        thread.join()
        server.close()
