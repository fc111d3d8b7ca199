"""Start three hosts on one database."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from demo_project import pki
from demo_project.children import Children
from demo_project.stack import INSTALLATION
from tests.support.postgres import CannotStart, server
from tests.support.tree import ROOT
from tools.chaos.client import Answer, NoAnswer, send
from tools.chaos.pgbouncer import pgbouncer
from tools.failover.cluster import VENV

COUNT = 3
START_TIMEOUT = 60  # seconds
_PREPARE = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", interactive=False, verbosity=0)
call_command("seed", verbosity=0)
"""


@dataclass(frozen=True)
class Host:
    """One host. ``ahead`` is its clock minus the right one, in seconds."""

    number: int
    socket: Path
    pki: Path
    ahead: int

    def send(self, name: str, method: str, path: str, *, body: str = "", **headers: str) -> Answer:
        """Send a request with NAME's certificate, as the proxy of this host forwards it."""
        certificate = quote((self.pki / f"{name}.pem").read_text())
        known = {"Host": "localhost:8443", "X-Forwarded-Proto": "https", "Content-Type": "application/json"}
        known |= {"X-SSL-Client-Verify": "SUCCESS", "X-SSL-Client-Cert": certificate}
        return send(self.socket, method, path, body=body, headers=known | headers)

    def answers(self) -> bool:
        try:
            return self.send("alice", "GET", "/healthz").status == 200
        except NoAnswer:
            return False


@dataclass(frozen=True)
class Hosts:
    each: list[Host]
    #: The database, never through PgBouncer.
    database_url: str
    #: How the hosts are kept apart.
    isolation: str
    _environment: dict[str, str]

    def purge(self) -> None:
        """Run the purge on the host with the fastest clock."""
        command = [sys.executable, "manage.py", "securecore_purge"]
        fastest = max(host.ahead for host in self.each)
        environment = self._environment | clock_of(fastest)
        subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)


@contextlib.contextmanager
def hosts(*, through_pgbouncer: bool, skew: int) -> Iterator[Hosts]:
    """Start three hosts with clocks that differ by ``skew`` seconds. Raises ``CannotStart``.

    Call it in the main thread, because child processes end with the thread that started them.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="securecore-hosts-", dir="/tmp")))
        folder.chmod(0o755)  # PgBouncer drops root, and must reach its socket in a folder below
        children = Children(folder=folder, logs=folder)
        stack.callback(children.stop)
        postgres = stack.enter_context(server())
        name = f"hosts_{secrets.token_hex(4)}"
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        url = f"{postgres.url.rpartition('/')[0]}/{name}"
        through = pgbouncer(children, folder, url) if through_pgbouncer else url
        environment = _environment(folder, url)
        pki.prepare(folder / "pki", now=_now())
        subprocess.run([sys.executable, "-c", _PREPARE], cwd=ROOT, env=environment, capture_output=True, check=True)
        apart = _apart()
        each = [
            Host(number, folder / f"host-{number}.sock", folder / "pki", (number - 1) * skew) for number in range(COUNT)
        ]
        for host in each:
            _start(children, host, environment | {"DATABASE_URL": through}, apart)
        _await(children, each)
        yield Hosts(each, url, "network namespaces" if apart else "processes", environment)


def _environment(folder: Path, url: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "tools.hosts.settings",
        "DATABASE_URL": url,
        "DEMO_VAR": str(folder),
        "PYTHONPATH": path,
    }


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _start(children: Children, host: Host, environment: dict[str, str], apart: Sequence[str]) -> None:
    command = [*apart, sys.executable, "-m", "gunicorn", "-c", str(INSTALLATION / "gunicorn.conf.py")]
    command += ["-w", "2", "-b", f"unix:{host.socket}", "demo_project.wsgi:application"]
    children.start(f"host-{host.number}", command, environment=environment | clock_of(host.ahead))


def _await(children: Children, each: list[Host]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    for host in each:
        while not host.answers():
            children.check()
            if time.monotonic() > deadline:
                raise CannotStart(f"host {host.number} does not answer")
            time.sleep(0.05)


def _apart() -> list[str]:
    """Return the command that gives a process a network namespace of its own, or nothing where that is refused."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "--net", "true"], capture_output=True, check=False).returncode:
        return []
    return [unshare, "--net", "--"]


def clock_of(ahead: int) -> dict[str, str]:
    """Return the variables that set the clock of a process ``ahead`` seconds. Raises ``CannotStart``."""
    if not ahead:
        return {}
    # The monotonic clock stays: threads and locks wait by it.
    return {"LD_PRELOAD": str(library()), "FAKETIME": f"{ahead:+d}s", "DONT_FAKE_MONOTONIC": "1"}


def library() -> Path:
    """Return the path of libfaketime. Raises ``CannotStart``."""
    found = next((path for path in _libraries() if path.exists()), None)
    if found is None:
        raise CannotStart(
            "no libfaketime: make failover installs it into .venv-failover; on Debian: apt install faketime"
        )
    return found


def _libraries() -> Iterator[Path]:
    yield from VENV.glob("lib/python*/site-packages/libfaketime/vendor/libfaketime/src/libfaketime.so.1")
    yield from Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
