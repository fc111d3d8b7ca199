"""TLS checks against ports that accept too much, and against a strict port."""

from __future__ import annotations

import contextlib
import datetime as dt
import ssl
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from demo_project import pki
from securecore.testing import Authority
from tests.scanner.conftest import Scanned, scanned


class Handler(BaseHTTPRequestHandler):
    """Names every caller alice, with any certificate."""

    def do_GET(self) -> None:
        content = b'{"user": "alice"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_OPTIONS = do_HEAD = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Print no traceback: the test refuses handshakes on purpose."""


@contextlib.contextmanager
def listening(context: ssl.SSLContext, handler: type[BaseHTTPRequestHandler] = Handler) -> Iterator[str]:
    server = Server(("127.0.0.1", 0), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def scan(url: str, folder: Path, text: str = '[session]\nread = "/whoami"\n', *only: str) -> Scanned:
    plan = folder / "plan.toml"
    plan.write_text(text)
    alice = ("--cert", folder / "alice.pem", "--key", folder / "alice.key")
    bob = ("--second-cert", folder / "bob.pem", "--second-key", folder / "bob.key")
    chosen = [word for check in only or ("SC-TLS",) for word in ("--only", check)]
    return scanned(url, *alice, *bob, "--ca", folder / "ca.pem", "--plan", plan, *chosen)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pki.prepare(tmp_path, now=dt.datetime.now(dt.UTC))
    return tmp_path


def test_port_with_old_tls_and_a_bad_certificate_fails(folder: Path) -> None:
    issued = Authority().issue("localhost", key=rsa.generate_private_key(65537, 1024))
    (folder / "bad.pem").write_text(issued.pem + issued.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(folder / "bad.pem")
    with listening(context) as url:
        found = scan(url, folder)
    verdicts = found.verdicts
    assert {verdicts[f"SC-TLS-{number}"] for number in (1, 2, 3)} == {"FAIL"}, found.text
    assert found.code == 1
    assert "no response" in found.content["stopped"], "without a trusted server only TLS checks run"


def test_port_with_resumption_and_unverified_clients_fails(folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    with listening(context) as url:
        found = scan(url, folder)
    assert found.verdicts == {
        "SC-TLS-1": "PASS",
        "SC-TLS-2": "PASS",
        "SC-TLS-3": "PASS",
        "SC-TLS-4": "FAIL",
        "SC-TLS-5": "FAIL",
        "SC-TLS-7": "SKIPPED",
        "SC-TLS-6": "FAIL",  # the OpenSSL of this Python has no post-quantum group
    }, found.text


class Silent(Handler):
    """Ends each connection after the handshake."""

    def do_GET(self) -> None:
        self.close_connection = True

    do_OPTIONS = do_HEAD = do_GET


def test_port_without_an_answer_is_not_judged(folder: Path) -> None:
    """A connection that was not answered was not resumed, and says nothing about resumption."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    with listening(context, Silent) as url:
        found = scan(url, folder)
    assert found.verdicts["SC-TLS-4"] == "INCONCLUSIVE", found.text
    assert found.code == 3


class Tokens(Handler):
    """Issues a token to every connection, and accepts every token on every connection."""

    def do_GET(self) -> None:
        self.answer(200 if self.headers["Authorization"] else 401, b'{"user": "alice"}')

    def do_POST(self) -> None:
        self.answer(200, b'{"access_token": "a-token-of-somebody"}')

    def answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_port_that_demands_a_certificate_counts_as_a_refusal(folder: Path, version: str) -> None:
    """The port ends the connection without a response."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.load_verify_locations(folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = ssl.TLSVersion[version]
    plan = '[session]\nread = "/whoami"\n[tokens]\nrequest = { path = "/token" }\nuse = "/whoami"\n'
    with listening(context, Tokens) as url:
        found = scan(url, folder, plan, "SC-HDR-1", "SC-TOKEN-3", "SC-TOKEN-4")
    assert found.verdicts == {"SC-HDR-1": "PASS", "SC-TOKEN-3": "FAIL", "SC-TOKEN-4": "PASS"}, found.text
