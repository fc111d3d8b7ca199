"""A real HTTP server that sends scripted responses and records the requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import requests

from securecore_client import Proof, Retry
from securecore_client.httpx import Transport
from securecore_client.requests import Adapter


@dataclass(frozen=True)
class Received:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Script:
    """The responses of the server in order: (status, headers), or None to close the connection; then 200."""

    url: str
    answers: list[tuple[int, dict[str, str]] | None] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)


@pytest.fixture
def script() -> Iterator[Script]:
    with serving() as running:
        yield running


@pytest.fixture
def other() -> Iterator[Script]:
    """A second server, which is not the named service."""
    with serving() as running:
        yield running


@contextmanager
def serving() -> Iterator[Script]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            running.received.append(Received(self.command, self.path, headers, body))
            told = running.answers.pop(0) if running.answers else (200, {})
            self.close_connection = True
            if told is None:
                return
            status, added = told
            self.send_response(status)
            content = added.get("body", "{}").encode()
            for name, value in {**added, "Content-Length": str(len(content)), "Connection": "close"}.items():
                if name != "body":
                    self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = do_PATCH = answer

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running = Script(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield running
        server.shutdown()
        thread.join()


@dataclass
class Caller:
    """httpx or requests, called in the same way."""

    request: Callable[..., Any]
    waits: list[float]


@pytest.fixture(params=["httpx", "requests"])
def call(request: pytest.FixtureRequest, script: Script) -> Callable[..., Caller]:
    """`call(TimestampNonce()).request("POST", "/path", content=b"")` through each library; `waits` are its pauses."""

    def call(*proofs: Proof, service: str | None = None, **options: Any) -> Caller:
        waits: list[float] = []
        retry = Retry(**{"sleep": waits.append, **options.pop("retry", {})})
        service = service or script.url
        if request.param == "httpx":
            transport = Transport(service, *proofs, retry=retry, verify=False, **options)
            client = httpx.Client(base_url=script.url, transport=transport, trust_env=False, follow_redirects=True)
            request.addfinalizer(client.close)
            return Caller(client.request, waits)
        session = requests.Session()
        session.trust_env = False
        session.mount("http://", Adapter(service, *proofs, retry=retry, **options))
        request.addfinalizer(session.close)

        def ask(method: str, path: str, *, content: Any = None, **how: Any) -> requests.Response:
            url = path if path.startswith("http:") else script.url + path
            return session.request(method, url, data=content, **how)

        return Caller(ask, waits)

    return call
