"""Concurrent requests that one HTTP/2 packet completes: on the wire, and through a real nginx."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded

from demo_project import pki
from securecore_scan.budget import Budget
from securecore_scan.client import races, single_packet
from securecore_scan.client.races import Way
from securecore_scan.client.request import Request
from securecore_scan.client.transport import COPIES, Transport
from securecore_scan.plan import Identities, Identity
from tests.scanner.conftest import scanned
from tests.scanner.edge import certificates, nginx
from tests.scanner.service import Answer, serving

CONTENT = b'{"amount": 1}'
POST = Request("POST", "/pay", (("Content-Type", "application/json"), ("Authorization", "Bearer abc")), CONTENT)


class Recording:
    """An HTTP/2 server that records, for each read of the socket, the streams that were completed by it."""

    def __init__(self, folder: Path) -> None:
        pki.prepare(folder, now=dt.datetime.now(dt.UTC))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
        context.set_alpn_protocols(["h2"])
        self.listener = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.completed: list[int] = []
        self.contents: dict[int, bytes] = {}
        self.before: dict[int, bytes] = {}
        self.headers: dict[bytes, bytes] = {}
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._thread.join(30)
        self.listener.close()

    def _run(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            server = H2Connection(H2Configuration(client_side=False, header_encoding=None))
            server.initiate_connection()
            connection.sendall(server.data_to_send())
            while received := connection.recv(65_536):
                before, ended = dict(self.contents), 0
                for event in server.receive_data(received):
                    if isinstance(event, RequestReceived):
                        self.headers = dict(event.headers)
                    elif isinstance(event, DataReceived):
                        self.contents[event.stream_id] = self.contents.get(event.stream_id, b"") + event.data
                    elif isinstance(event, StreamEnded):
                        ended += 1
                        server.send_headers(event.stream_id, [(":status", "201")])
                        server.send_data(event.stream_id, b"{}", end_stream=True)
                if ended:
                    self.before = before
                    self.completed.append(ended)
                connection.sendall(server.data_to_send())


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    server = Recording(tmp_path)
    yield server
    server.close()


def transport_to(url: str, folder: Path) -> Transport:
    identity = Identity(folder / "alice.pem", folder / "alice.key")
    return Transport(url, ca=folder / "ca.pem", identities=Identities(owner=identity), budget=Budget(1000, 60))


@pytest.mark.parametrize("request_", [POST, Request("GET", "/pay")], ids=["body", "no body"])
def test_one_read_of_the_server_completes_every_request(
    recording: Recording, tmp_path: Path, request_: Request
) -> None:
    url = f"https://localhost:{recording.listener.getsockname()[1]}"
    answers = races.send(transport_to(url, tmp_path), [request_] * COPIES, Way.SINGLE_PACKET)
    recording.close()
    assert [answer.status_code for answer in answers] == [201] * COPIES
    assert {answer.request.url.path for answer in answers} == {"/pay"}
    assert recording.completed == [COPIES]
    if request_.content:
        assert set(recording.before.values()) == {CONTENT[:-1]}, "everything else had arrived before"
        assert set(recording.contents.values()) == {CONTENT}
        assert recording.headers[b"content-length"] == b"13"
        assert recording.headers[b"authorization"] == b"Bearer abc"


class Voucher:
    """A voucher for one use with a check before the act. Each request waits, for a moment, for a second one."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self.versions: set[str] = set()
        self.second = threading.Barrier(2)

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if path != "/redeem":
            return 201, {}, {"code": f"voucher-{len(self.used)}-{threading.get_ident()}-{id(headers)}"}
        code = body.decode()
        if code in self.used:
            return 409, {}, {}
        try:
            self.second.wait(2)
        except threading.BrokenBarrierError:
            self.second.reset()
        self.used.add(code)
        return 200, {}, {}


PLAN = """
[limit]
prepare = { path = "/voucher" }
use = { path = "/redeem", json = { code = "{prepared}" } }
"""


def scan_of(tmp_path: Path, *, http2: bool = True) -> Any:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    with serving(Voucher().answer) as service, nginx(tmp_path, service.url, http2=http2) as url:
        return scanned(url, *certificates(tmp_path), "--plan", plan, "--only", "SC-LIMIT")


def test_race_is_won_by_a_single_packet_through_nginx(tmp_path: Path) -> None:
    found = scan_of(tmp_path)
    (result,) = found.results
    assert result["verdict"] == "FAIL", found.text
    assert "one packet over HTTP/2: used" in result["evidence"][0]
    assert "an overrun observed in 1 of 1 rounds" in result["evidence"][1]


def test_race_without_http2_names_the_reason(tmp_path: Path) -> None:
    found = scan_of(tmp_path, http2=False)
    (result,) = found.results
    assert result["verdict"] == "FAIL", found.text
    assert "synchronised last bytes: used" in result["evidence"][0]
    assert result["evidence"][2].endswith("; not tried over HTTP/2: the port offers no HTTP/2")


def test_race_without_h2_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h2", None)
    found = scan_of(tmp_path)
    (result,) = found.results
    assert result["verdict"] == "FAIL", found.text
    assert "pip install 'securecore-scan[h2]'" in result["evidence"][2]


class Once:
    """A sound voucher: every use takes it under a lock."""

    def __init__(self) -> None:
        self.lock, self.left, self.made = threading.Lock(), set[str](), 0

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        with self.lock:
            if path != "/redeem":
                self.made += 1
                self.left.add(f'{{"code": "voucher-{self.made}"}}')
                return 201, {}, {"code": f"voucher-{self.made}"}
            code = body.decode()
            if code not in self.left:
                return 409, {}, {}
            self.left.remove(code)
            return 200, {}, {}


def test_race_that_does_not_work_was_tried_in_both_ways(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    with serving(Once().answer) as service, nginx(tmp_path, service.url) as url:
        found = scanned(url, *certificates(tmp_path), "--plan", plan, "--only", "SC-LIMIT")
    (result,) = found.results
    assert result["verdict"] == "PASS", found.text
    assert "not observed in 6 rounds" in result["evidence"][1]
    assert result["evidence"][2] == "rounds: 3 with one packet over HTTP/2, 3 with synchronised last bytes"


def test_refusal_before_the_last_byte_is_an_answer(tmp_path: Path) -> None:
    """nginx answers 413 to the announced length, and resets the stream behind the complete response."""
    with serving(lambda *_: (200, {}, {})) as service, nginx(tmp_path, service.url, "client_max_body_size 5;") as url:
        transport = transport_to(url, tmp_path)
        answers = races.send(transport, [POST] * COPIES, Way.SINGLE_PACKET)
        transport.close()
    assert [answer.status_code for answer in answers] == [413] * COPIES
    assert service.asked == []


def test_body_beyond_the_window_is_sent_the_other_way(tmp_path: Path) -> None:
    large = Request("POST", "/", (), b"x" * 100_000)
    with serving(lambda *_: (200, {}, {})) as service, nginx(tmp_path, service.url) as url:
        transport = transport_to(url, tmp_path)
        with pytest.raises(single_packet.Unavailable, match="window"):
            races.send(transport, [large] * COPIES, Way.SINGLE_PACKET)
        assert len(races.send(transport, [large] * COPIES, Way.LAST_BYTE)) == COPIES
        transport.close()
