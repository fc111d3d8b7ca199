"""The real proxies with the configurations of docs/proxies/.

The database does not change the results, so these tests run only where it is SQLite.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo_project import pki
from securecore import clock
from securecore.installation import certificates
from tests.acceptance.proxies.edge import Edge, Ground

collect_ignore_glob = ["test_*.py"] if os.environ.get("TEST_DATABASE_URL") else []

#: Users with a certificate that a test revokes while it runs, one for each edge.
EDGES = ("nginx", "nginx-that-resumes", "haproxy", "caddy", "traefik", "envoy", "gunicorn", "signing")
REVOKED_MEANWHILE = [f"{edge}-{how}" for edge in EDGES for how in ("keeps", "resumes-TLSv1_2", "resumes-TLSv1_3")]

_PREPARE = """
from django.contrib.auth.models import User
from django.core.management import call_command
call_command("migrate", verbosity=0)
for name in {names!r}:
    User.objects.create(username=name)
    call_command("securecore_certificates", "enroll", name, {pki!r} + "/" + name + ".pem")
call_command("securecore_certificates", "revoke", {pki!r} + "/revoked.pem")
"""


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    # Not pytest's folders, which have long names: a unix socket's path ends at 107 bytes.
    with tempfile.TemporaryDirectory(prefix="edge-") as var:
        ground = Ground(Path(var))
        pki.prepare(ground.pki, now=clock.now())
        for name in REVOKED_MEANWHILE:
            certificates.issue(ground.pki, name, now=clock.now())
        names = ["alice", "bob", "carol", "revoked", "expired", "stranger", *REVOKED_MEANWHILE]
        ground.shell(_PREPARE.format(pki=str(ground.pki), names=names))
        yield ground


@pytest.fixture(scope="module")
def open_edge(ground: Ground) -> Iterator[Callable[..., Edge]]:
    """`open_edge("caddy")` is the folder and the ports of a proxy. The processes that it starts end with the module."""
    edges: list[Edge] = []

    def open_edge(source: str, name: str | None = None) -> Edge:
        edges.append(Edge(ground, source, name))
        return edges[-1]

    yield open_edge
    for edge in edges:
        edge.children.stop()


@pytest.fixture(scope="session")
def oracle(ground: Ground) -> Iterator[Callable[[str], str]]:
    """`oracle("alice")` is the thumbprint that Python's own getpeercert() reports for her certificate."""
    edge = Edge(ground, "gunicorn", "oracle")
    edge.configure("gunicorn.conf.py")
    try:
        edge.start_gunicorn_alone()
        yield lambda name: str(edge.ask(name).body["peer"])
    finally:
        edge.children.stop()
