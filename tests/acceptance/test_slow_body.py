"""A client that sends the body of a protected request at one byte a second does not delay its own revocation.

The body comes through a real HAProxy with and without the buffering of docs/proxies, and to a gunicorn that ends TLS
itself. The gate is an advisory lock on PostgreSQL, and the write lock of the database on SQLite.
"""

from __future__ import annotations

import json
import os
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import dj_database_url
import psycopg
import pytest

from demo_project import pki
from securecore import clock
from tests.acceptance.proxies.edge import Edge, Ground, program

#: Bytes that the client announces, and the most that it sends, one a second.
LENGTH, MOST = 200, 180

_PRELUDE = """
import json, time
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from securecore import clock, grants
from securecore.revocation import revoke_grant
def alice():
    return grants.principal_of(User.objects.get(username="alice"))
def give():
    grants.grant(principal=alice(), permission="payments.create", now=clock.now())
def revoke():
    principal, began = alice(), time.perf_counter()
    assert revoke_grant(principal=principal, permission="payments.create")
    return time.perf_counter() - began
"""
#: Prints the seconds of a revocation without any request.
_PREPARE = """
call_command("migrate", verbosity=0)
User.objects.create(username="alice")
call_command("securecore_certificates", "enroll", "alice", {pki!r} + "/alice.pem")
seconds = []
for _ in range(6):
    give()
    seconds.append(revoke())
give()
print(json.dumps(sorted(seconds[1:])[2]))
"""
#: Prints the number of payments, and makes the way free for the next one.
_COUNT = """
print(Group.objects.count())
Group.objects.all().delete()
give()
"""


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Ground, float]]:
    """The database and certificates of all edges, and the seconds of a revocation without any request."""
    with tempfile.TemporaryDirectory(prefix="slow-") as var, database() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_DATABASE_URL", url)
        ground = Ground(Path(var))
        pki.prepare(ground.pki, now=clock.now())
        printed = ground.shell(_PRELUDE + _PREPARE.format(pki=str(ground.pki)))
        yield ground, json.loads(printed.splitlines()[-1])


class database:
    """A new database for the service: on the server of TEST_DATABASE_URL, or SQLite ("")."""

    def __enter__(self) -> str:
        self.server = os.environ.get("TEST_DATABASE_URL", "")
        self.name = f"slow_body_{os.getpid()}"
        if not self.server:
            return ""
        self._execute(f"CREATE DATABASE {self.name}")
        return f"{self.server.rpartition('/')[0]}/{self.name}"

    def __exit__(self, *_: object) -> None:
        if self.server:
            self._execute(f"DROP DATABASE {self.name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        given: dict[str, Any] = dict(dj_database_url.parse(self.server))
        named = {"host": given["HOST"], "port": given["PORT"] or None, "user": given["USER"]}
        options: dict[str, Any] = {name: value for name, value in named.items() if value}
        with psycopg.connect(dbname="postgres", password=given["PASSWORD"], autocommit=True, **options) as connection:
            connection.execute(statement)


def haproxy(ground: Ground, name: str, **replaced: Any) -> Edge:
    program("haproxy")
    edge = Edge(ground, "haproxy", name)
    edge.configure("haproxy.cfg", **replaced)
    pair = [(ground.pki / part).read_bytes() for part in ("server.pem", "server.key")]
    (ground.pki / "server-and-key.pem").write_bytes(b"".join(pair))
    edge.start_service()
    edge.start_proxy("haproxy", "-db", "-f", "haproxy.cfg")
    return edge


def gunicorn(ground: Ground) -> Edge:
    edge = Edge(ground, "gunicorn")
    edge.configure("gunicorn.conf.py")
    edge.start_gunicorn_alone()
    return edge


EDGES: dict[str, Callable[[Ground], Edge]] = {
    "haproxy": lambda ground: haproxy(ground, "haproxy"),
    "haproxy-unbuffered": lambda ground: haproxy(ground, "unbuffered", **{"    option http-buffer-request\n": ""}),
    "gunicorn": gunicorn,
}


class SlowClient:
    """A client that sends its body at one byte a second, then the rest at once; ``status`` is that of its response."""

    def __init__(self, edge: Edge) -> None:
        self._wire = edge.connection(edge.context("alice"))
        self._wire.timeout = 30
        self._hurry, self.sent = threading.Event(), 0
        self.status = 0
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        wire: Any = self._wire
        wire.putrequest("POST", "/pay")
        wire.putheader("Content-Length", str(LENGTH))
        wire.endheaders()
        try:
            while self.sent < MOST and not self._hurry.is_set():
                wire.send(b"x")
                self.sent += 1
                self._hurry.wait(1)
            wire.send(b"x" * (LENGTH - self.sent))
            self.status = wire.getresponse().status
        except (OSError, ssl.SSLError):
            return
        finally:
            wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hurry.set()
        self._thread.join(30)


@pytest.mark.parametrize("name", EDGES)
def test_a_slow_body_does_not_delay_its_revocation(place: tuple[Ground, float], name: str) -> None:
    ground, before = place
    edge = EDGES[name](ground)
    try:
        with SlowClient(edge) as client:
            time.sleep(2)  # the request reaches its waiting point in this time
            took = json.loads(ground.shell(_PRELUDE + "print(json.dumps(revoke()))"))
            assert client.sent < MOST, "the client was still sending"
        print(f"{name}: a revocation took {before * 1e3:.1f} ms, beside a slow body {took * 1e3:.1f} ms")
        assert client.status == 403, "the request was judged after its body, and after the revocation"
        assert ground.shell(_PRELUDE + _COUNT).strip() == "0"
    finally:
        edge.children.stop()
