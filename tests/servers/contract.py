"""The promises that each server must keep, as a client behind the proxy sees them."""

from __future__ import annotations

import secrets
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from securecore import clock
from securecore.identity import parse_pem
from securecore.testing import Issued
from securecore_client.wire.content_digest import content_digest
from securecore_client.wire.message_signatures import Request
from tests.replay.signing import COVERED, signed
from tests.servers.running import Running

SECRET = "a proxy secret that only the tests know"


def effects(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM auth_group").fetchone()[0])


def proxied(issued: Issued, *, secret: str = SECRET) -> dict[str, str]:
    """Return the headers of a trusted proxy for the connection of this certificate."""
    certificate = {"x-ssl-client-verify": "SUCCESS", "x-ssl-client-cert": issued.escaped}
    return certificate | ({"x-proxy-auth": secret} if secret else {})


def fresh(key: str | None = None) -> dict[str, str]:
    return {
        "idempotency-key": key or secrets.token_hex(8),
        "x-request-nonce": secrets.token_urlsafe(16),
        "x-request-timestamp": str(int(clock.now().timestamp())),
    }


def knows_the_proxy(server: Running, alice: Issued, *, needs_secret: bool) -> None:
    def user(headers: dict[str, str]) -> object:
        return server.client.get("/seen", headers=headers).json()["user"]

    assert user(proxied(alice)) == "alice", server.log.read_text()
    assert user(proxied(alice, secret="")) == (None if needs_secret else "alice")
    assert user(proxied(alice, secret="x" * 39)) == (None if needs_secret else "alice")


def drops_names_with_underscores(server: Running, alice: Issued) -> None:
    headers = {"x-proxy-auth": SECRET, "x_ssl_client_verify": "SUCCESS", "x_ssl_client_cert": alice.escaped}
    assert server.client.get("/seen", headers=headers).json()["user"] is None


def verifies_the_path_that_was_sent(server: Running, alice: Issued) -> None:
    now, body = int(clock.now().timestamp()), b"{}"
    fields = {"content-digest": content_digest(body), "content-type": "application/json"}
    for target in ("/%73ignature", "/signatur%65?q=%2f%7e"):
        request = Request("POST", f"http://testserver{target}", fields)
        described: dict[str, Any] = {"created": now, "expires": now + 60, "nonce": secrets.token_hex(16)}
        keyid = parse_pem(alice.pem).thumbprint
        sent = signed(COVERED, key=alice.key, request=request, keyid=keyid, **described)
        response = server.post(target, proxied(alice) | dict(sent.fields), body)
        assert response.status_code == 201, (target, response.text, server.log.read_text())


def refuses_a_strange_charset(server: Running, alice: Issued) -> None:
    response = server.post("/seen?a=b", proxied(alice) | {"content-type": "text/plain; charset=hex"})
    assert (response.status_code, response.json()["code"]) == (400, "charset-refused")


def runs_synchronous_views_in_one_transaction(server: Running, alice: Issued, database: Path) -> None:
    before = effects(database)
    assert server.post("/thread", proxied(alice)).status_code == 201, server.log.read_text()
    assert server.post("/thread?outcome=broken", proxied(alice)).status_code == 500
    assert effects(database) == before + 1


def runs_async_views_in_one_transaction(server: Running, alice: Issued, database: Path) -> None:
    before = effects(database)
    response = server.post("/every", proxied(alice) | fresh())
    assert (response.status_code, response.json().get("is_atomic")) == (201, True), server.log.read_text()
    assert server.post("/every?outcome=broken", proxied(alice) | fresh()).status_code == 500
    assert effects(database) == before + 1


def refuses_async_views_with_the_way_out(server: Running, alice: Issued, database: Path) -> None:
    before = effects(database)
    assert server.post("/every", proxied(alice) | fresh()).status_code == 500
    assert effects(database) == before
    assert "write def, or serve by ASGI" in server.log.read_text()


def has_one_effect_for_each_key(server: Running, alice: Issued, database: Path, view: str) -> None:
    before, key = effects(database), secrets.token_hex(8)

    def send(_: int) -> int:
        return server.post(view, proxied(alice) | fresh(key)).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(send, range(12)))
    assert set(statuses) <= {201, 409}, (statuses, server.log.read_text())
    assert effects(database) == before + 1


def rolls_back_when_the_client_hangs_up(server: Running, alice: Issued, database: Path) -> None:
    before = effects(database)
    headers = {"host": "testserver", "content-length": "0", **proxied(alice), **fresh()}
    head = "POST /every?outcome=wait HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    pool = server.client._transport._pool  # type: ignore[attr-defined]
    is_unix = pool._uds is not None
    with socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET) as connection:
        connection.connect(pool._uds if is_unix else ("127.0.0.1", server.client.base_url.port))
        connection.sendall(f"{head}\r\n".encode())
        deadline = time.monotonic() + 60
        while not server.client.get("/is-waiting").json():
            assert time.monotonic() < deadline, server.log.read_text()
    # The next request waits for the transaction of the first, and finds no effect of it.
    assert server.post("/every", proxied(alice) | fresh()).status_code == 201, server.log.read_text()
    assert effects(database) == before + 1
