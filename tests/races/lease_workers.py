"""Four real workers with leases, and clients that keep all of them busy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = 8


class _Unix(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket(AF_UNIX, SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@dataclass(frozen=True)
class Answer:
    """A response. ``began`` and ``ended`` are read from the clock of this machine, which all its processes share."""

    began: float
    ended: float
    status: int
    body: dict[str, Any]


@dataclass
class Workers:
    """gunicorn on a socket in ``folder``."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def ask(self, path: str, headers: dict[str, str], method: str = "GET") -> Answer:
        connection = _Unix(str(self.folder / "app.sock"))
        began = time.monotonic()
        try:
            connection.request(method, path, headers={"X-Forwarded-Proto": "https", **headers})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        return Answer(began, time.monotonic(), response.status, json.loads(content) if content else {})

    def stopped(self) -> list[psutil.Process]:
        assert self.process
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if child.status() == psutil.STATUS_STOPPED]


@dataclass
class Load:
    """The responses that the clients have received so far."""

    history: list[Answer] = field(default_factory=list)

    def after(self, instant: float) -> list[Answer]:
        return [answer for answer in self.history if answer.began > instant]

    def has_answered(self, times: int, *, since: float) -> bool:
        return len(self.after(since)) >= times


@contextmanager
def workers(folder: Path, *, database: str, securecore: dict[str, Any]) -> Iterator[Workers]:
    """Run four workers with these options of SECURECORE."""
    environ = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.races.lease_settings",
        "TEST_DATABASE_URL": database,
        "LEASE_SECURECORE": json.dumps(securecore),
        "PYTHONPATH": str(ROOT),
    }
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        str(ROOT / "securecore/installation/gunicorn.conf.py"),
        "-w",
        "4",
    ]
    command += ["--threads", "2", "-b", f"unix:{folder / 'app.sock'}", "django.core.wsgi:get_wsgi_application()"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
    running = Workers(folder, process)
    try:
        _await(running)
        yield running
    finally:
        for child in running.stopped():
            child.resume()
        process.terminate()
        process.wait(30)


@contextmanager
def load(running: Workers, path: str, headers: dict[str, str]) -> Iterator[Load]:
    """Keep ``CLIENTS`` requests in flight during the block."""
    made, over = Load(), threading.Event()

    def client() -> None:
        while not over.is_set():
            made.history.append(running.ask(path, headers))

    threads = [threading.Thread(target=client, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)


def _await(running: Workers) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            running.ask("/certificate", {})
            return
        except OSError:
            assert running.process is not None
            assert running.process.poll() is None, (running.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
