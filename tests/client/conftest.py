"""A real HTTP server that sends scripted responses and records the requests."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
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
from securecore_client.urllib import Handler


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
    """httpx, requests or urllib, called in the same way."""

    request: Callable[..., Any]
    waits: list[float]


def _url(script: Script, path: str) -> str:
    return path if path.startswith("http:") else script.url + path


class FollowEach(urllib.request.HTTPRedirectHandler):
    """Follow each redirect, as httpx and requests do. urllib's own handler raises for 307 of a POST."""

    def redirect_request(self, request: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        method = request.get_method() if code in (307, 308) or request.get_method() == "HEAD" else "GET"
        kept = {name: value for name, value in request.headers.items() if name != "Content-length"}
        data = request.data if method == request.get_method() else None
        return urllib.request.Request(newurl, data, kept, method=method)


@dataclass
class Opened:
    """A response of urllib."""

    status_code: int


def opened(
    opener: urllib.request.OpenerDirector,
    method: str,
    url: str,
    *,
    content: Any = None,
    headers: dict[str, str] | None = None,
) -> Opened:
    content = content.encode() if isinstance(content, str) else content
    try:
        with opener.open(urllib.request.Request(url, content, headers or {}, method=method), timeout=30) as response:
            return Opened(response.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return Opened(refusal.code)


@pytest.fixture(params=["httpx", "requests", "urllib"])
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
        if request.param == "urllib":
            opener = urllib.request.build_opener(
                Handler(service, *proofs, retry=retry, **options), FollowEach(), urllib.request.ProxyHandler({})
            )
            return Caller(lambda method, path, **how: opened(opener, method, _url(script, path), **how), waits)
        session = requests.Session()
        session.trust_env = False
        session.mount("http://", Adapter(service, *proofs, retry=retry, **options))
        request.addfinalizer(session.close)

        def ask(method: str, path: str, *, content: Any = None, **how: Any) -> requests.Response:
            return session.request(method, _url(script, path), data=content, **how)

        return Caller(ask, waits)

    return call
