"""Start a fresh database, the service in front of it, and PgBouncer between them if the scenario needs it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from demo_project.children import Children
from tests.support.postgres import Server, server
from tests.support.tree import ROOT
from tools.chaos.client import NoAnswer, send
from tools.chaos.pgbouncer import pgbouncer

WORKERS, THREADS = 4, 4
START_TIMEOUT = 60  # seconds

SETTINGS = "tools.chaos.settings"


@dataclass(frozen=True)
class Service:
    """gunicorn on the unix socket ``socket``. ``headers`` are the identity headers for the user's certificate."""

    socket: Path
    pid_file: Path
    headers: dict[str, str]

    def workers(self) -> list[psutil.Process]:
        """Return the running worker processes."""
        try:
            return psutil.Process(int(self.pid_file.read_text())).children()
        except psutil.NoSuchProcess:
            return []

    def answers(self) -> bool:
        try:
            return send(self.socket, "GET", "/healthz", headers=self.headers).status == 200
        except NoAnswer:
            return False


@dataclass(frozen=True)
class Place:
    service: Service
    #: The address of the tables for the checker, never through PgBouncer.
    database_url: str
    postgres: Server | None


@contextlib.contextmanager
def place(*, database: str = "postgresql", settings: str = SETTINGS, workers: int = WORKERS) -> Iterator[Place]:
    """Run a service under ``settings`` on a new ``database``: "postgresql", "pgbouncer" or "sqlite".

    Call it in the main thread, because child processes end with the thread that started them. Raises ``CannotStart``.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="securecore-chaos-", dir="/tmp")))
        folder.chmod(0o755)  # PgBouncer drops root, and must reach its socket in a folder below
        children = Children(folder=folder, logs=folder)
        stack.callback(children.stop)
        postgres = stack.enter_context(server()) if database != "sqlite" else None
        url = postgres.url if postgres else f"sqlite:///{folder}/database.sqlite3"
        through = pgbouncer(children, folder, url) if database == "pgbouncer" else url
        yield Place(_start(children, folder, settings, url, through, workers), url, postgres)


def _start(children: Children, folder: Path, settings: str, url: str, through: str, workers: int) -> Service:
    environ = os.environ | {"DJANGO_SETTINGS_MODULE": settings, "PYTHONPATH": str(ROOT), "CHAOS_DATABASE_URL": url}
    prepare = [sys.executable, "-m", "tools.chaos.prepare", str(folder / "alice.pem")]
    subprocess.run(prepare, cwd=ROOT, env=environ, check=True)
    service = Service(
        socket=folder / "gunicorn.sock",
        pid_file=folder / "gunicorn.pid",
        headers={
            "X-SSL-Client-Verify": "SUCCESS",
            "X-SSL-Client-Cert": quote((folder / "alice.pem").read_text(), safe=""),
            "X-Forwarded-Proto": "https",
            "Content-Type": "application/json",
        },
    )
    # --preload loads the code once and forks, so a killed worker is replaced within milliseconds.
    command = [sys.executable, "-m", "gunicorn", "--preload", "--worker-class=gthread", f"--workers={workers}"]
    command += [f"--threads={THREADS}", f"--bind=unix:{service.socket}", f"--pid={service.pid_file}"]
    command += [
        "--log-level=error",
        "--no-control-socket",
        "--graceful-timeout=1",
        "django.core.wsgi:get_wsgi_application()",
    ]
    children.start("gunicorn", command, environment=environ | {"CHAOS_DATABASE_URL": through})
    deadline = time.monotonic() + START_TIMEOUT
    while not service.answers():
        children.check()
        if time.monotonic() > deadline:
            raise TimeoutError((folder / "gunicorn.log").read_text()[-2000:])
        time.sleep(0.05)
    return service
