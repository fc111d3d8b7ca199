"""A peer is a unix socket by the family of its socket. An address that a client wrote does not count."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User

from securecore.events import HeaderForged
from securecore.testing import Issued, MutualTLSClient
from tests.events.recorder import of_kind, recorded
from tests.support.ports import free_port

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]

SECRET = "a proxy secret that only the tests know"


@pytest.fixture
def alice(users: dict[str, User], certificate_for: Any) -> Issued:
    return certificate_for("alice")  # type: ignore[no-any-return]


@pytest.fixture
def unix() -> Iterator[socket.socket]:
    one, other = socket.socketpair()
    with one, other:
        yield one


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6])
def tcp(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with socket.socket(request.param) as found:
        yield found


def user(client: MutualTLSClient) -> Any:
    return client.get("/seen").json()["user"]


class TestSocket:
    def test_socket_of_the_unix_family_is_the_proxy_s(self, alice: Issued, unix: socket.socket) -> None:
        for address in ("", "203.0.113.9", "10.1.2.3"):
            assert user(MutualTLSClient(alice, **{"gunicorn.socket": unix, "REMOTE_ADDR": address})) == "alice"

    def test_socket_of_another_family_is_not(self, alice: Issued, tcp: socket.socket) -> None:
        with recorded() as events:
            assert user(MutualTLSClient(alice, **{"gunicorn.socket": tcp, "REMOTE_ADDR": ""})) is None
        assert of_kind(events, HeaderForged)

    @pytest.mark.parametrize("connection", ["", "unix", 1, object()])
    def test_socket_that_is_none_is_not(self, alice: Issued, connection: Any) -> None:
        assert user(MutualTLSClient(alice, **{"gunicorn.socket": connection, "REMOTE_ADDR": ""})) is None

    def test_socket_is_trusted_where_the_settings_say_so(
        self, alice: Issued, unix: socket.socket, settings: Any
    ) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "TRUSTED_PROXIES": ["10.0.0.0/8"]}
        for secret in ("", SECRET):
            headers = {"gunicorn.socket": unix, "REMOTE_ADDR": "10.1.2.3", "HTTP_X_PROXY_AUTH": secret}
            assert user(MutualTLSClient(alice, **headers)) is None

    def test_socket_over_tcp_is_the_proxy_s_by_its_network_and_its_secret(
        self, alice: Issued, tcp: socket.socket
    ) -> None:
        headers = {"gunicorn.socket": tcp, "REMOTE_ADDR": "10.1.2.3", "HTTP_X_PROXY_AUTH": SECRET}
        assert user(MutualTLSClient(alice, **headers)) == "alice"


@pytest.mark.parametrize("forwarded", [",", "", " ", ",10.1.2.3", "\t"])
def test_a_client_on_a_port_is_no_proxy_by_writing_an_empty_address(
    alice: Issued, settings: Any, tcp: socket.socket, forwarded: str
) -> None:
    """A middleware copies X-Forwarded-For to REMOTE_ADDR, and stands before securecore's (securecore.E107)."""
    settings.MIDDLEWARE = ["tests.http.rewriting.ForwardedFor", *django_settings.MIDDLEWARE]
    headers = {"gunicorn.socket": tcp, "REMOTE_ADDR": "203.0.113.9", "HTTP_X_FORWARDED_FOR": forwarded}
    assert user(MutualTLSClient(alice, **headers)) is None


APP = """
import socket
def application(environ, start_response):
    found = environ.get("gunicorn.socket")
    said = f"{environ.get('REMOTE_ADDR')!r} {getattr(found, 'family', None) == socket.AF_UNIX}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [said.encode()]
"""


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_gunicorn_hands_its_socket_over(tmp_path: Path, worker: str) -> None:
    (tmp_path / "peer_app.py").write_text(APP)
    path = tmp_path / "s"
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-k", worker, "-b", f"unix:{path}", "-b", f"127.0.0.1:{port}"]
    command += ["--no-control-socket", "peer_app:application"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(path, port)
            assert asked(httpx.HTTPTransport(uds=str(path)), "http://localhost/") == "'' True"
            assert asked(httpx.HTTPTransport(), f"http://127.0.0.1:{port}/") == "'127.0.0.1' False"
        finally:
            server.terminate()


def wait_for(path: Path, port: int) -> None:
    """Wait until gunicorn listens on both sockets. It binds its unix socket first."""
    for _ in range(600):
        with socket.socket() as probe:
            if path.exists() and probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("gunicorn does not listen")


def asked(transport: httpx.HTTPTransport, url: str) -> str:
    with httpx.Client(transport=transport, trust_env=False) as client:
        return client.get(url).text
