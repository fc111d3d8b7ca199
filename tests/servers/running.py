"""Real servers on a unix socket and on a TCP port, over one SQLite file."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.ports import free_port
from tests.support.tree import ROOT

_GUNICORN = ["gunicorn", "-c", str(ROOT / "securecore/installation/gunicorn.conf.py"), "--workers", "1"]
_WSGI, _ASGI = "tests.servers.applications:wsgi", "tests.servers.applications:asgi"

#: The command of each server: for a unix socket, and for a port. {socket} and {port} are its address.
SERVERS: dict[str, tuple[list[str], list[str]]] = {
    "uvicorn": (
        ["uvicorn", "--uds", "{socket}", "--lifespan", "off", _ASGI],
        ["uvicorn", "--port", "{port}", "--lifespan", "off", "--no-proxy-headers", _ASGI],
    ),
    # uvicorn's own defaults.
    "uvicorn with proxy headers": (
        ["uvicorn", "--uds", "{socket}", "--lifespan", "off", "--forwarded-allow-ips", "*", _ASGI],
        ["uvicorn", "--port", "{port}", "--lifespan", "off", _ASGI],
    ),
    "granian": (
        ["granian", "--interface", "asginl", "--uds", "{socket}", _ASGI],
        ["granian", "--interface", "asginl", "--port", "{port}", _ASGI],
    ),
    "hypercorn": (["hypercorn", "-b", "unix:{socket}", _ASGI], ["hypercorn", "-b", "127.0.0.1:{port}", _ASGI]),
    "daphne": (["daphne", "-u", "{socket}", _ASGI], ["daphne", "-p", "{port}", _ASGI]),
    **{
        f"gunicorn {worker}": (
            [*_GUNICORN, "-k", worker, "-b", "unix:{socket}", application],
            [*_GUNICORN, "-k", worker, "-b", "127.0.0.1:{port}", application],
        )
        for worker, application in (("sync", _WSGI), ("gthread", _WSGI), ("gevent", _WSGI), ("asgi", _ASGI))
    },
    "granian wsgi": (
        ["granian", "--interface", "wsgi", "--uds", "{socket}", _WSGI],
        ["granian", "--interface", "wsgi", "--port", "{port}", _WSGI],
    ),
}


@dataclass(frozen=True)
class Running:
    """A server, with a client that plays the proxy in front of it."""

    name: str
    client: httpx.Client
    log: Path

    def post(self, target: str, headers: dict[str, str], body: bytes = b"{}") -> httpx.Response:
        url = self.client.base_url.copy_with(raw_path=target.encode())
        sent = {"content-type": "application/json", **headers}
        return self.client.send(self.client.build_request("POST", url, headers=sent, content=body))


@contextmanager
def serve(name: str, folder: Path, database: Path, *, is_unix: bool) -> Iterator[Running]:
    """Run the server ``name`` until the end of the block."""
    path, port, log = folder / "app.sock", free_port(), folder / "log"
    command = [part.format(socket=path, port=port) for part in SERVERS[name][0 if is_unix else 1]]
    environ = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.servers.settings",
        "TEST_DATABASE_URL": f"sqlite:///{database}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "client"), str(ROOT / "scanner")]),
    }
    transport = httpx.HTTPTransport(uds=str(path)) if is_unix else httpx.HTTPTransport()
    address = "http://testserver" if is_unix else f"http://127.0.0.1:{port}"
    client = httpx.Client(transport=transport, base_url=address, headers={"host": "testserver"}, timeout=20)
    with log.open("wb") as output, client:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, env=environ, stdout=output, stderr=output
        )
        try:
            _await(str(path) if is_unix else ("127.0.0.1", port), process, log)
            yield Running(name, client, log)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await(address: str | tuple[str, int], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server accepts connections. httpx leaks a socket for each refused connection to a unix socket."""
    deadline = time.monotonic() + 60
    while True:
        with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as probe:
            if probe.connect_ex(address) == 0:
                return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
