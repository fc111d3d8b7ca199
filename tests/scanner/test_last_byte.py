"""Last-byte synchronisation of concurrent requests."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

from securecore_scan.budget import Budget
from securecore_scan.client import races
from securecore_scan.client.races import Way
from securecore_scan.client.request import Request
from securecore_scan.client.transport import COPIES, Transport
from securecore_scan.plan import Identities

CONTENT = b'{"amount": 1}'


class Watching:
    """A server that records the bytes of all connections when the first request is complete.

    On loopback, sent bytes can be read at once. The record therefore shows the state when the first last byte arrived.
    """

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.listener.setblocking(False)
        self.brought: dict[socket.socket, bytes] = {}
        self.at_first: list[bytes] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._thread.join(30)
        for connection in self.brought:
            connection.close()
        self.listener.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            answered = 0
            while answered < COPIES and (ready := selector.select(20)):
                for key, _ in ready:
                    self._read(key.fileobj, selector)
                if not self.at_first and self._whole():
                    # Connections may wait unaccepted: the first pass accepts all of them, the second reads their bytes.
                    for _ in range(2):
                        for key, _ in selector.select(0):
                            self._read(key.fileobj, selector)
                    self.at_first = list(self.brought.values())
                # Look at all connections: the selector does not announce bytes that the second pass has read.
                for connection in self._whole():
                    connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}")
                    self.brought[connection] += b" answered"
                    answered += 1

    def _whole(self) -> list[socket.socket]:
        return [one for one, content in self.brought.items() if content.endswith(CONTENT)]

    def _read(self, readable: object, selector: selectors.BaseSelector) -> None:
        assert isinstance(readable, socket.socket)
        if readable is self.listener:
            with contextlib.suppress(BlockingIOError):
                while True:
                    connection, _ = self.listener.accept()
                    self.brought[connection] = b""
                    selector.register(connection, selectors.EVENT_READ)
            return
        received = readable.recv(65_536)
        self.brought[readable] += received
        if not received:
            selector.unregister(readable)


def test_last_bytes_wait_until_all_other_bytes_have_arrived() -> None:
    server = Watching()
    url = f"http://127.0.0.1:{server.listener.getsockname()[1]}"
    transport = Transport(url, ca=None, identities=Identities(), budget=Budget(100, 60))
    try:
        answers = races.send(transport, [Request("POST", "/pay", (), CONTENT)] * COPIES, Way.LAST_BYTE)
    finally:
        transport.close()
        server.close()
    assert [answer.status_code for answer in answers] == [201] * COPIES
    assert len(server.at_first) == COPIES
    for content in server.at_first:
        head, _, body = content.partition(b"\r\n\r\n")
        assert body.startswith(CONTENT[:-1])
        assert b"content-length: 13" in head.lower()
        assert b"transfer-encoding" not in head.lower()
