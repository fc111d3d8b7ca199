"""Fixtures for client libraries of other projects, against the running demo."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from demo_project.stack import Stack
from tests.acceptance.clients.node import LIBRARIES, Node, Report, prepared_node
from tests.support.ports import free_port

WORKERS = 4

_REGISTER = """
from django.contrib.auth.models import User
from securecore import clock
from securecore.tokens import Client
Client.objects.get_or_create(client_id="backoffice", defaults=dict(
    user=User.objects.get(username="service"), scope="reports.read reports.write", may_introspect=True,
    rotates_refresh_tokens=False, created_at=clock.now()))
"""


@pytest.fixture(scope="session")
def demanding(database_url: str | None) -> Iterator[Stack]:
    """A second demo on the same PostgreSQL database: four workers, and no DPoP proof without a server nonce."""
    settings = "DJANGO_SETTINGS_MODULE=tests.acceptance.clients.demanding_settings"
    options = ("-w", str(WORKERS), "--env", settings)
    with (
        tempfile.TemporaryDirectory(prefix="securecore-demanding-") as var,
        Stack(port=free_port(), var=Path(var), database_url=database_url, gunicorn=options) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def backoffice(shell: Callable[..., str]) -> str:
    """A registered client, proven by the certificate of `service`. It keeps its refresh tokens and may introspect."""
    shell("shell", "-v", "0", "-c", _REGISTER)
    return "backoffice"


@pytest.fixture(scope="session")
def node() -> Node:
    """Node with the packages of package.json. Without them the test is skipped; where CI is true, it fails."""
    return prepared_node()


@pytest.fixture(scope="session")
def reports(node: Node, stack: Stack, demanding: Stack, backoffice: str) -> dict[str, Report]:
    """The results of each library from npm, by scenario."""
    drive = functools.partial(node.drive, stack=stack, demanding=demanding, backoffice=backoffice)
    with ThreadPoolExecutor() as pool:
        return dict(zip(LIBRARIES, pool.map(drive, LIBRARIES), strict=True))
