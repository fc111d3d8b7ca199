"""Requests in the form of ASGI, as each server builds them, to Django's real handler in this process."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_finished
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore.testing import Issued

#: The addresses of client and server in the scope: measured with uvicorn 0.54, Granian 2.8, Daphne 4.2, Hypercorn 0.18
#: and gunicorn 27, on a unix socket ("unix") and on a TCP port ("tcp").
ADDRESSES: dict[str, dict[str, Any]] = {
    "uvicorn unix": {"client": None, "server": ("/run/app.sock", None)},
    "granian unix": {"client": ("", "0"), "server": ("/run/app.sock", "0")},
    "gunicorn unix": {"client": None, "server": ("/", "r")},
    "daphne unix": {"client": None, "server": None},
    "uvicorn tcp": {"client": ("10.1.2.3", 4711), "server": ("10.1.2.4", 8000)},
    "granian tcp": {"client": ("10.1.2.3", "4711"), "server": ("10.1.2.4", "8000")},
    "daphne tcp": {"client": ["10.1.2.3", 4711], "server": ["10.1.2.4", 8000]},
}


@contextmanager
def connections_closed() -> Iterator[None]:
    """Close the connection of each request's thread: Django never closes SQLite in memory, and Python 3.13 warns."""

    def close(**_: object) -> None:
        if connection.vendor == "sqlite" and threading.current_thread() is not threading.main_thread():
            BaseDatabaseWrapper.close(connection)

    request_finished.connect(close)
    try:
        yield
    finally:
        request_finished.disconnect(close)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class ASGIClient:
    """Sends requests through nginx's headers to Django's ASGI handler, by default from a unix socket of uvicorn."""

    def __init__(self, issued: Issued | None = None, **scope: Any) -> None:
        certificate = {} if issued is None else {"x-ssl-client-verify": "SUCCESS", "x-ssl-client-cert": issued.escaped}
        self.headers = {"host": "testserver", **certificate}
        self.scope = ADDRESSES["uvicorn unix"] | scope

    def post(self, target: str, body: bytes = b"", **headers: str) -> Answer:
        return self.request("POST", target, body, headers={name.replace("_", "-"): headers[name] for name in headers})

    def get(self, target: str, **headers: str) -> Answer:
        return self.request("GET", target, headers={name.replace("_", "-"): headers[name] for name in headers})

    def request(self, method: str, target: str, body: bytes = b"", *, headers: dict[str, str]) -> Answer:
        with connections_closed():
            return async_to_sync(self._respond)(self.scope_of(method, target, body, headers), body)

    def hang_up(self, target: str, *, after: asyncio.Event | Any, **headers: str) -> None:
        """Disconnect while the view runs, as soon as ``after`` is set."""
        sent = {name.replace("_", "-"): headers[name] for name in headers}
        with connections_closed():
            async_to_sync(self._hang_up)(self.scope_of("POST", target, b"", sent), after)

    def scope_of(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
        path, _, query = target.partition("?")
        sent = {**self.headers, "content-length": str(len(body)), **{name.lower(): headers[name] for name in headers}}
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()],
            **self.scope,
        }

    async def _respond(self, scope: dict[str, Any], body: bytes) -> Answer:
        communicator: Any = ApplicationCommunicator(ASGIHandler(), scope)  # type: ignore[no-untyped-call]
        await communicator.send_input({"type": "http.request", "body": body})
        start = await communicator.receive_output(timeout=20)
        content, more = b"", True
        while more:
            message = await communicator.receive_output(timeout=20)
            content, more = content + message.get("body", b""), message.get("more_body", False)
        await communicator.wait(timeout=20)
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(start["status"], headers, content)

    async def _hang_up(self, scope: dict[str, Any], after: Any) -> None:
        communicator: Any = ApplicationCommunicator(ASGIHandler(), scope)  # type: ignore[no-untyped-call]
        await communicator.send_input({"type": "http.request", "body": b""})
        while not after.is_set():
            await asyncio.sleep(0.01)
        await communicator.send_input({"type": "http.disconnect"})
        await communicator.wait(timeout=20)
