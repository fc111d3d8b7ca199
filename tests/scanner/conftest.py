"""Runs the scanner in this process, and services of other packages in processes of their own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from securecore_scan import cli
from securecore_scan.budget import Budget
from securecore_scan.client.transport import Transport
from securecore_scan.plan import Identities
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Scanned:
    """Exit code, report and error output of a scan."""

    code: int
    text: str
    errors: str

    @property
    def content(self) -> Any:
        return json.loads(self.text)

    @property
    def results(self) -> list[dict[str, Any]]:
        return [result for category in self.content["categories"] for result in category["results"]]

    @property
    def verdicts(self) -> dict[str, str]:
        return {result["check"]: result["verdict"] for result in self.results}


def scanned(*arguments: object, form: str = "json") -> Scanned:
    """Run the program in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main([*map(str, arguments), "--format", form])
        except SystemExit as exit:
            code = int(exit.code or 0)
    return Scanned(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def open_transport(url: str, *, requests: int = 1000) -> Iterator[Transport]:
    """Open a transport without certificates, with a budget of ``requests``."""
    transport = Transport(url, ca=None, identities=Identities(), budget=Budget(requests, 60.0))
    try:
        yield transport
    finally:
        transport.close()


@dataclass
class Peer:
    """A running service of another package."""

    url: str
    pid: int
    port: int


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., Peer]]:
    """`start_service("name", ["program", "--port", "{port}"])` starts a program that listens on that port."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, command: list[str], scheme: str = "http", cwd: Path = ROOT, **environ: str) -> Peer:
        port, number = free_port(), len(started)
        unwanted = ("DJANGO_SETTINGS_MODULE", "GUNICORN_CMD_ARGS")
        inherited = {key: value for key, value in os.environ.items() if key not in unwanted}
        given = {"PORT": str(port), "PEER_DATABASE": str(tmp_path / f"{name}-{number}.sqlite3")}
        log = tmp_path / f"{name}-{number}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [word.replace("{port}", str(port)) for word in command],
                cwd=cwd,
                env=inherited | given | environ,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        started.append(process)
        _await_port(process, port, log)
        return Peer(f"{scheme}://localhost:{port}", process.pid, port)

    yield start
    for process in started:
        process.terminate()
    for process in started:
        process.wait(20)


@pytest.fixture
def start_peer(start_service: Callable[..., Peer]) -> Callable[..., Peer]:
    """`start_peer("simplejwt")` runs tests/scanner/peers/simplejwt.py under gunicorn: one process, sixteen threads."""

    def start(name: str, *options: str, scheme: str = "http", **environ: str) -> Peer:
        gunicorn = [sys.executable, "-m", "gunicorn", "--preload", "-k", "gthread", "--threads", "16"]
        command = [*gunicorn, "--keep-alive", "5", "-b", "127.0.0.1:{port}", *options]
        return start_service(name, [*command, f"tests.scanner.peers.{name}:application"], scheme=scheme, **environ)

    return start


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
