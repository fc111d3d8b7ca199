"""Completes several HTTP/2 requests with one packet (RFC 9113), by the library ``h2`` where it is installed.

See Note [Single packet].
"""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import httpx

from securecore_scan.client.request import Request
from securecore_scan.client.transport import TIMEOUT, Transport

if TYPE_CHECKING:
    from h2.events import Event

# Note [Single packet]
#
# With one connection for each copy, the network and the scheduler still part the last bytes. HTTP/2 carries all copies
# over one connection. Each stream first gets its headers and its body without the last byte. A PING follows, and its
# ACK proves that the server has read everything before it: no guess at a delay is needed. One write then carries the
# last byte of every stream: 16 DATA frames of 10 bytes fit into one TLS record and one TCP segment. The server reads
# them in one call, and a proxy passes 16 complete requests on at once (Kettle, "Smashing the state machine", 2023).
# A request without a body ends with an empty DATA frame in place of the last byte.

#: Headers that HTTP/2 has no place for (RFC 9113 section 8.2.2).
_CONNECTION = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host"}
_READ = 65_536


class Unavailable(Exception):
    """The requests cannot be sent over HTTP/2. The message says why."""


def send(transport: Transport, requests: Sequence[Request], role: str = "owner") -> list[httpx.Response | None]:
    """Complete the requests with one packet, and return a response for each, or None.

    Raises ``Unavailable`` before any request is complete if the port or this installation has no HTTP/2.
    """
    with _connected(transport, role) as connection:
        for request in requests:
            transport.spend(request)
        return _Exchange(connection, transport, requests).responses()


def require(transport: Transport, role: str = "owner") -> None:
    """Make one handshake. Raises ``Unavailable`` unless port and installation have HTTP/2."""
    with _connected(transport, role):
        transport.budget.record_handshake()


@contextlib.contextmanager
def _connected(transport: Transport, role: str) -> Iterator[ssl.SSLSocket]:
    if importlib.util.find_spec("h2") is None:
        raise Unavailable("h2 is not installed: pip install 'securecore-scan[h2]'")
    if not transport.is_tls:
        raise Unavailable("plain http offers no HTTP/2")
    host, port = transport.address
    context = transport.context(transport.identity(role))
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        with (
            socket.create_connection((host, port), TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            if connection.selected_alpn_protocol() != "h2":
                raise Unavailable("the port offers no HTTP/2")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield connection
    except OSError as error:
        raise Unavailable(f"the connection failed: {type(error).__name__}") from None


class _Exchange:
    """One use of one connection: every request is one stream."""

    def __init__(self, connection: ssl.SSLSocket, transport: Transport, requests: Sequence[Request]) -> None:
        from h2.config import H2Configuration
        from h2.connection import H2Connection

        self._socket, self._transport = connection, transport
        # latin-1 reads any bytes: the service chooses the headers.
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
        self._streams = {2 * number + 1: request for number, request in enumerate(requests)}
        self._heads: dict[int, list[tuple[str, str]]] = {}
        self._contents = dict.fromkeys(self._streams, b"")
        self._unfinished = set(self._streams)
        self._seen: set[str] = set()

    def responses(self) -> list[httpx.Response | None]:
        """Send everything, and return the response of each request, or None where the server sent none."""
        from h2.exceptions import ProtocolError

        with contextlib.suppress(OSError, ProtocolError, _Ended):
            self._h2.initiate_connection()
            self._read_until(lambda: "RemoteSettingsChanged" in self._seen)
            if self._h2.remote_settings.max_concurrent_streams < len(self._streams):
                raise Unavailable(f"the port allows {self._h2.remote_settings.max_concurrent_streams} streams at once")
            for stream, request in self._streams.items():
                self._begin(stream, request)
            self._h2.ping(b"together")
            self._read_until(lambda: "PingAckReceived" in self._seen)
            # A server may refuse a request before its end, for example with 413.
            for stream in sorted(self._unfinished):
                self._h2.send_data(stream, self._streams[stream].content[-1:], end_stream=True)
            self._read_until(lambda: not self._unfinished)
        return [self._response(stream) for stream in self._streams]

    def _begin(self, stream: int, request: Request) -> None:
        host = self._transport.parts.netloc.rpartition("@")[2]
        path = self._transport.url(request.path).removeprefix(self._transport.origin)
        pseudo = [(":method", request.method), (":authority", host), (":scheme", "https"), (":path", path or "/")]
        headers = {name.lower(): value for name, value in self._transport.headers_of(request)}
        self._h2.send_headers(stream, pseudo + [one for one in headers.items() if one[0] not in _CONNECTION])
        content = request.content[:-1]
        while content:
            size = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if size <= 0:
                raise Unavailable(f"{len(self._streams)} bodies of this size exceed the port's HTTP/2 window")
            self._h2.send_data(stream, content[:size])
            content = content[size:]

    def _read_until(self, is_done: Callable[[], bool]) -> None:
        """Write everything that is queued in one call, and read until ``is_done``. Raises ``_Ended`` at the end."""
        while True:
            if queued := self._h2.data_to_send():
                self._socket.sendall(queued)
            if is_done():
                return
            received = self._socket.recv(_READ)
            if not received:
                raise _Ended
            for event in self._h2.receive_data(received):
                self._note(event)

    def _note(self, event: Event) -> None:
        from h2 import events

        self._seen.add(type(event).__name__)
        if isinstance(event, events.ResponseReceived):
            self._heads[event.stream_id] = [(str(name), str(value)) for name, value in event.headers]
        elif isinstance(event, events.DataReceived):
            self._contents[event.stream_id] += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, events.StreamReset) and event.stream_id in self._unfinished:
            # A reset after a complete response takes nothing back (RFC 9113 section 8.1).
            self._heads.pop(event.stream_id, None)
            self._unfinished.discard(event.stream_id)
        elif isinstance(event, events.StreamEnded):
            self._unfinished.discard(event.stream_id)
        elif isinstance(event, events.ConnectionTerminated):
            raise _Ended

    def _response(self, stream: int) -> httpx.Response | None:
        head = dict(self._heads.get(stream, ()))
        if stream in self._unfinished or not head.get(":status", "").isdigit():
            return None
        request = self._streams[stream]
        return httpx.Response(
            int(head[":status"]),
            headers=[(name, value) for name, value in self._heads[stream] if not name.startswith(":")],
            content=self._contents[stream],
            request=httpx.Request(request.method, self._transport.url(request.path)),
        )


class _Ended(Exception):
    """The server ended the connection."""
