"""One proxy, configured as in docs/proxies/, in front of its own gunicorn."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from demo_project.children import Children
from tests.support.ports import free_port
from tests.support.tree import ROOT

SECRET = secrets.token_urlsafe(32)
CONFIGURATIONS = ROOT / "docs" / "proxies"

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """A response. ``status`` is 0 if the connection was refused before any response."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)


class Ground:
    """The parts that all edges share: certificates, and a database in which some of them are enrolled."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.pki = var / "pki"

    def shell(self, code: str) -> str:
        """Run ``code`` beside the services, with Django set up."""
        return run(self, ["-c", f"import django; django.setup()\n{code}"])

    @contextlib.contextmanager
    def waiting(self, code: str) -> Iterator[Callable[[], None]]:
        """Start a program with Django set up, and yield a function that runs ``code`` in it.

        A program needs seconds to start on a busy machine, and an open connection would end meanwhile.
        """
        command = [sys.executable, "-c", f"import django; django.setup()\nprint(flush=True)\ninput()\n{code}"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, cwd=ROOT, env=environment(self, "nginx"), **pipes) as process:
            assert process.stdout
            process.stdout.readline()

            def go_on() -> None:
                process.communicate("\n", timeout=600)
                assert process.returncode == 0

            yield go_on


def run(ground: Ground, arguments: list[str]) -> str:
    command = [sys.executable, *arguments]
    environ = environment(ground, "nginx")
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment(ground: Ground, source: str) -> dict[str, str]:
    unwanted = ("GUNICORN_CMD_ARGS", "FORWARDED_ALLOW_IPS", "WEB_CONCURRENCY")
    return {name: value for name, value in os.environ.items() if name not in unwanted} | {
        "DJANGO_SETTINGS_MODULE": "tests.acceptance.proxies.settings",
        "EDGE_VAR": str(ground.var),
        "SECURECORE_SOURCE": source,
        "PROXY_SECRET": SECRET,
        "PYTHONPATH": str(ROOT),
    }


class Edge:
    """One running proxy. ``port`` is its port, ``direct`` the port of its gunicorn, past the proxy."""

    def __init__(self, ground: Ground, source: str, name: str | None = None) -> None:
        self.ground, self.source, self.name = ground, source, name or source
        self.folder = ground.var / self.name
        self.folder.mkdir(mode=0o700)
        self.port, self.direct = free_port(), free_port()
        self.socket = self.folder / "app.sock"
        self.children = Children(folder=self.folder, logs=self.folder)
        self.environment = environment(ground, source)

    def configure(self, *names: str, folder: Path = CONFIGURATIONS, **replaced: str) -> None:
        """Copy configuration files, with the paths and ports of the test."""
        changes = {
            "/etc/securecore/traefik": f"{self.folder}/traefik",
            "/etc/securecore": str(self.ground.pki),
            "/run/securecore": str(self.folder),
            "0.0.0.0": "127.0.0.1",
            "8443": str(self.port),
            "127.0.0.1:8000": f"127.0.0.1:{self.direct}",
        }
        for name in names:
            text = (folder / name).read_text()
            for old, new in (changes | replaced).items():
                text = text.replace(old, new)
            (self.folder / name).write_text(text)

    def start_service(self, *options: str) -> None:
        """Start the service behind the proxy; ``options`` override gunicorn's configuration."""
        binds = ["-b", f"unix:{self.socket.name}", "-b", f"127.0.0.1:{self.direct}"]
        self._gunicorn("service", ROOT / "securecore/installation/gunicorn.conf.py", *binds, *options)
        self._await(lambda: self.ask_directly([]).status == 200)

    def start_proxy(self, *command: str) -> None:
        self.children.start("proxy", [program(command[0]), *command[1:]], environment=self.environment)
        self._await(lambda: self.ask(None).status == 200)

    def start_gunicorn_alone(self) -> None:
        """Start gunicorn without a proxy: gunicorn ends TLS itself."""
        self._gunicorn("service", self.folder / "gunicorn.conf.py")
        self._await(lambda: self.ask(None).status == 200)

    def _gunicorn(self, name: str, configuration: Path, *options: str) -> None:
        command = [sys.executable, "-m", "gunicorn", "-c", str(configuration), "-w", "1", "--chdir", str(self.folder)]
        application = "tests.acceptance.proxies.service:application"
        self.children.start(name, [*command, *options, application], environment=self.environment)

    def _await(self, answers: Any) -> None:
        deadline = time.monotonic() + 60
        while not answers():
            self.children.check()
            assert time.monotonic() < deadline, f"nobody answers; see {self.folder}"
            time.sleep(0.05)

    # Clients

    def context(self, name: str | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ground.pki / "ca.pem"))
        if name:
            context.load_cert_chain(self.ground.pki / f"{name}.pem", self.ground.pki / f"{name}.key")
        return context

    def ask(self, name: str | None, headers: Headers = ()) -> Answer:
        """Send one request through the proxy, under NAME's certificate."""
        with contextlib.closing(self.connection(self.context(name))) as connection:
            return ask(connection, headers)

    def connection(self, context: ssl.SSLContext) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("localhost", self.port, context=context, timeout=10)

    def ask_over_http_2(self, name: str | None, requests: Sequence[Headers]) -> list[Answer]:
        """Send requests with these headers through the proxy, over HTTP/2 if the proxy speaks HTTP/2."""
        pki = self.ground.pki
        command = [program("curl"), "--silent", "--config", "-"]
        lines = []
        for headers in requests:
            lines += ["next", "http2", f"cacert = {pki / 'ca.pem'}", f"url = https://localhost:{self.port}/whoami"]
            lines += [f"cert = {pki / f'{name}.pem'}", f"key = {pki / f'{name}.key'}"] if name else []
            lines += [f"header = {json.dumps(': '.join(header))}" for header in headers]
            lines += [r'write-out = "\n%{http_version} %{response_code}\n"']
        done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=True, timeout=600)
        answers = done.stdout.splitlines()
        versions = {line.partition(" ")[0] for line in answers[1::2]}
        assert versions == {"2" if self.speaks_http_2 else "1.1"}
        return [
            Answer(int(status.partition(" ")[2]), json.loads(body))
            for body, status in zip(answers[::2], answers[1::2], strict=True)
        ]

    @property
    def speaks_http_2(self) -> bool:
        return self.source in ("haproxy", "caddy", "traefik", "envoy")

    def ask_directly(self, headers: Headers) -> Answer:
        """Send one request past the proxy."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.direct, timeout=10)) as connection:
            return ask(connection, headers)

    def ask_twice_in_one_session(self, name: str, version: ssl.TLSVersion) -> Iterator[tuple[Answer, bool]]:
        """Send a request on one TLS connection, then one on a second connection that resumes the session if allowed.

        Return for each connection whether it was resumed.
        """
        context = self.context(name)
        context.minimum_version = context.maximum_version = version
        session = None
        for _ in range(2):
            plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as connection:
                request = http.client.HTTPSConnection("localhost", self.port)
                request.sock = connection
                answer = ask(request, ())
                reused, session = bool(connection.session_reused), connection.session
            yield answer, reused


def ask(connection: http.client.HTTPConnection, headers: Headers) -> Answer:
    try:
        connection.putrequest("GET", "/whoami", skip_accept_encoding=True)
        for header in headers:
            connection.putheader(*header)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):  # ssl.SSLError is an OSError
        return Answer(0)
    with contextlib.suppress(ValueError):
        return Answer(response.status, json.loads(body))
    return Answer(response.status)


def program(name: str) -> str:
    """Return the program of this name, from PATH, from beside this Python, or from its own virtual environment.

    Without the program the test is skipped, loudly.
    """
    places = [str(Path(sys.executable).parent), "/usr/sbin", str(ROOT / f".venv-{name}" / "bin")]
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        pytest.skip(f"{name} is not installed: what it would show about securecore is not known")
    return str(found)
