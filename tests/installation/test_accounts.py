"""nginx as root starts it: its workers reach gunicorn by the group of the socket, or the log says why not."""

from __future__ import annotations

import grp
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo_project.children import Children
from demo_project.stack import nginx_binary
from tests.support.ports import free_port
from tests.support.tree import ROOT

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root starts nginx under two accounts: whether the socket's group holds is not known"
)
#: The application needs no Django: these tests are about accounts and files.
APPLICATION = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["HTTP_X_SSL_CLIENT_VERIFY"].encode()]
"""
NAME = f"accounts{os.getpid()}"
PORT = free_port()
#: Of root in development.
RUN = Path("/run", f"{NAME}-{PORT}")


class Deployment:
    """The files of securecore_init, and the programs that they configure."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, PORT
        self.children = Children(folder=folder, logs=folder)

    def start_gunicorn(self) -> None:
        command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "-w", "1"]
        self.children.start("gunicorn", command, environment=dict(os.environ))
        self.wait_for(lambda: (RUN / "app.sock").exists() and "Booting worker" in self._read("gunicorn.log"))

    def start_nginx(self) -> None:
        RUN.mkdir(exist_ok=True)
        command = [str(nginx_binary()), "-e", "stderr", "-c", str(self.folder / "deploy/nginx/nginx.conf")]
        self.children.start("nginx", [*command, "-g", "daemon off;"], environment=dict(os.environ))
        self.wait_for(lambda: (RUN / "nginx.pid").exists() and bool(self.accounts_of_nginx()))

    def accounts_of_nginx(self) -> set[int]:
        """Return the user ids of nginx's workers."""
        master = int((RUN / "nginx.pid").read_text())
        workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return {os.stat(f"/proc/{worker}").st_uid for worker in workers}

    def get(self, path: str) -> tuple[int, str]:
        context = ssl.create_default_context(cafile=str(self.folder / "deploy/pki/ca.pem"))
        context.load_cert_chain(self.folder / "deploy/pki/alice.pem", self.folder / "deploy/pki/alice.key")
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(f"https://localhost:{self.port}{path}", timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read().decode()

    def access(self, count: int = 1) -> list[str]:
        """Return the lines of the access log, at least ``count``. nginx writes a line after the response."""
        self.wait_for(lambda: self._read("deploy/log/access.log").count("\n") >= count)
        return self._read("deploy/log/access.log").splitlines()

    def errors(self) -> str:
        return self._read("deploy/log/error.log")

    def _read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def wait_for(self, is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not is_there():
            self.children.check()
            assert time.monotonic() < deadline, self._read("gunicorn.log") + self._read("nginx.log")
            time.sleep(0.05)


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Callable[..., Deployment]]:
    """`deployment(group)` writes the files for workers in this group. Everything ends with the test."""
    made = Deployment(tmp_path)
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "wsgi.py").write_text(APPLICATION)

    def deploy(group: str) -> Deployment:
        settings = "SECRET_KEY='x'; INSTALLED_APPS=['django.contrib.auth','django.contrib.contenttypes','securecore']"
        databases = "DATABASES={'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}"
        (tmp_path / "settings.py").write_text(f"{settings}\n{databases}\nROOT_URLCONF='{NAME}.urls'\n")
        command = [sys.executable, "-m", "django", "securecore_init", "deploy", "--development"]
        command += ["--port", str(made.port), "--socket-group", group]
        path = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "client")])
        environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": path}
        subprocess.run(command, cwd=tmp_path, env=environ, check=True, capture_output=True)
        return made

    yield deploy
    made.children.stop()
    shutil.rmtree(RUN, ignore_errors=True)


def groups() -> list[str]:
    names = [entry.gr_name for entry in grp.getgrall()]
    return [name for name in names if name in ("www-data", "nginx", "nogroup")][:2]


@pytest.mark.parametrize("group", groups())
def test_workers_reach_gunicorn_by_the_group_of_the_socket(deployment: Callable[..., Deployment], group: str) -> None:
    running = deployment(group)
    running.start_gunicorn()
    running.start_nginx()
    running.wait_for(lambda: 0 not in running.accounts_of_nginx())  # a new worker is root's for a moment
    assert running.get("/pay?access_token=secret") == (200, "SUCCESS")
    opened = (RUN / "app.sock").stat()
    assert (oct(opened.st_mode & 0o777), opened.st_gid) == ("0o660", grp.getgrnam(group).gr_gid)
    assert "connect=0.0" in running.access()[0]
    assert "secret" not in running.access()[0] + running.errors()


def test_logs_say_why_the_application_is_not_reached(deployment: Callable[..., Deployment]) -> None:
    """Without a socket, with the socket of a process that ended, and with one that its workers may not open."""
    running, socket_path = deployment(groups()[0]), RUN / "app.sock"
    running.start_nginx()
    status, body = running.get("/")
    problem = json.loads(body)
    assert (status, problem["code"]) == (502, "bad-gateway")
    assert f"request={problem['request_id']} " in running.access()[0]
    assert "No such file or directory" in running.errors()
    with socket.socket(socket.AF_UNIX) as ended:
        ended.bind(str(socket_path))
    os.chmod(socket_path, 0o666)
    before = running.errors()
    assert running.get("/pay?access_token=secret")[0] == 502
    assert running.errors() == before  # no process listens: the access log shows it
    socket_path.unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(socket_path))
        listening.listen()
        os.chmod(socket_path, 0o700)
        assert running.get("/")[0] == 502
    assert "Permission denied" in running.errors()
    lines = running.access(3)
    assert all("upstream=502 connect=-" in line for line in lines)
    assert "secret" not in "".join(lines) + running.errors()
