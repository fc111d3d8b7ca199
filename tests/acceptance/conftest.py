"""Fixtures with real programs: nginx with client certificates, gunicorn, and the database of the run."""

from __future__ import annotations

import os
import ssl
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dj_database_url
import httpx
import psycopg
import pytest

from demo_project.stack import Stack
from tests.support.ports import free_port


@pytest.fixture(scope="session")
def database_url() -> Iterator[str | None]:
    """A new database on the PostgreSQL of the run, or None for SQLite."""
    server = os.environ.get("TEST_DATABASE_URL")
    if not server:
        yield None
        return
    name = f"acceptance_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    settings: Any = dj_database_url.parse(server)
    yield server.removesuffix(settings["NAME"]) + name
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def stack(database_url: str | None) -> Iterator[Stack]:
    """The running demo."""
    with (
        tempfile.TemporaryDirectory(prefix="securecore-acceptance-") as var,
        Stack(port=free_port(), var=Path(var), database_url=database_url) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def open_client(stack: Stack) -> Iterator[Callable[..., httpx.Client]]:
    """`open_client("alice")` is a client with her certificate and a cookie jar, `open_client()` one without a
    certificate.
    """
    clients: list[httpx.Client] = []

    def open_client(name: str | None = None, prefix: str = "") -> httpx.Client:
        context = ssl.create_default_context(cafile=str(stack.pki / "ca.pem"))
        if name:
            context.load_cert_chain(stack.pki / f"{name}.pem", stack.pki / f"{name}.key")
        client = httpx.Client(base_url=stack.url + prefix, verify=context, trust_env=False, timeout=30)
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def shell(stack: Stack, database_url: str | None) -> Callable[..., str]:
    """`shell("securecore_purge")` runs a management command beside the running service and returns its output.

    `code` is the exit code that the command must have.
    """
    import subprocess
    import sys

    root = Path(__file__).resolve().parents[2]
    environ = os.environ | {
        "DJANGO_SETTINGS_MODULE": "demo_project.settings",
        "DEMO_VAR": str(stack.var),
        "PORT": str(stack.port),
        "DATABASE_URL": database_url or "",
    }

    def shell(*arguments: str, code: int = 0) -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == code, done.stderr
        return done.stdout

    return shell
