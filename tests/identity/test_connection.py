"""gunicorn ends TLS itself: the certificate comes from the connection, never from a header."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from securecore.events import HeaderForged
from securecore.identity import parse_pem
from securecore.testing import Authority, Issued, MutualTLSClient
from tests.events.recorder import of_kind, recorded
from tests.identity.conftest import authority_extensions

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]

Connect = Callable[..., ssl.SSLSocket]


@pytest.fixture(autouse=True)
def by_connection(settings: Any) -> None:
    settings.SECURECORE = {**settings.SECURECORE, "CERTIFICATE_SOURCE": "gunicorn"}


@pytest.fixture
def connect(ca: Authority, tmp_path: Path) -> Iterator[Connect]:
    """`connect(issued, verify_mode)` is the server's end of a TLS connection on which the client presented `issued`."""

    root = tmp_path / "root.pem"
    root.write_text(ca.issue("Test CA", key=ca.key, extensions=authority_extensions(ca.key)).pem)
    with ExitStack() as stack:

        def pair(issued: Issued, path: Path) -> tuple[str, str]:
            path.with_suffix(".pem").write_text(issued.pem)
            path.with_suffix(".key").write_text(issued.key_pem)
            return str(path.with_suffix(".pem")), str(path.with_suffix(".key"))

        def connect(issued: Issued | None, verify_mode: ssl.VerifyMode = ssl.CERT_OPTIONAL) -> ssl.SSLSocket:
            server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            server.load_cert_chain(*pair(ca.certificate_for("server"), tmp_path / "server"))
            server.load_verify_locations(root)
            server.verify_mode = verify_mode
            client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
            if issued is not None:
                client.load_cert_chain(*pair(issued, tmp_path / "client"))
            ours, theirs = map(stack.enter_context, socket.socketpair())
            shaking = threading.Thread(target=lambda: stack.enter_context(client.wrap_socket(theirs)))
            shaking.start()
            connection = stack.enter_context(server.wrap_socket(ours, server_side=True))
            shaking.join()
            return connection

        yield connect


def test_says_who_it_is(users: dict[str, User], certificate_for: Callable[[str], Issued], connect: Connect) -> None:
    alice = certificate_for("alice")
    client = MutualTLSClient(**{"gunicorn.socket": connect(alice), "REMOTE_ADDR": "203.0.113.9"})
    seen = client.get("/seen").json()
    assert (seen["user"], seen["thumbprint"]) == ("alice", parse_pem(alice.pem).thumbprint)


def test_without_a_certificate_is_nobody(connect: Connect) -> None:
    assert MutualTLSClient(**{"gunicorn.socket": connect(None)}).get("/seen").json()["thumbprint"] is None


def test_that_is_plain_is_nobody() -> None:

    with socket.socket() as plain:
        for connection in (plain, None, "alice"):
            client = MutualTLSClient(**{"gunicorn.socket": connection})
            assert client.get("/seen").json()["thumbprint"] is None


@pytest.mark.parametrize("peer", ["", "10.1.2.3", "203.0.113.9"])
def test_headers_beside_it_are_forged(
    users: dict[str, User], certificate_for: Callable[[str], Issued], connect: Connect, peer: str
) -> None:
    forged = certificate_for("alice").environ | {
        "REMOTE_ADDR": peer,
        "HTTP_X_PROXY_AUTH": "a proxy secret that only the tests know",
    }
    bob = connect(certificate_for("bob"))
    with recorded() as events:
        seen = [MutualTLSClient(**forged, **{"gunicorn.socket": each}).get("/seen").json() for each in (None, bob)]
    assert [each["user"] for each in seen] == [None, "bob"]
    assert len(of_kind(events, HeaderForged)) == 2


def test_whose_server_verifies_nothing_is_nobody(
    users: dict[str, User], certificate_for: Callable[[str], Issued], connect: Connect
) -> None:
    """Python drops a certificate that it did not verify. If Python changed that, the certificate
    must still not count.
    """
    connection = connect(certificate_for("alice"))
    connection.context.verify_mode = ssl.CERT_NONE
    assert MutualTLSClient(**{"gunicorn.socket": connection}).get("/seen").json()["user"] is None
