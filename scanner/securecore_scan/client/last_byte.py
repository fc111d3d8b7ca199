"""Completes several requests at once, each over a connection of its own.

See Note [Last-byte synchronisation].
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from securecore_scan.client.request import Request
from securecore_scan.client.transport import Transport

#: Seconds to wait until all copies are ready.
_GATHERING = 10.0

# Note [Last-byte synchronisation]
#
# Concurrent copies must reach the application together, or the attack misses a race of one millisecond. Each copy goes
# over its own connection, without its last byte. When every copy has sent that much, each sends its last byte. A proxy
# that buffers bodies (nginx by default) forwards each request when its body is complete. An application that reads the
# body itself waits in that read.
#
# httpx can do this. A body may be a generator, and httpcore writes each yielded part at once because it sets
# TCP_NODELAY. Content-Length is given, so httpx uses no chunked encoding and the request looks like any other. Raw
# sockets would work as well, but need an HTTP parser. Requests without a body are only started together.


def send(transport: Transport, requests: Sequence[Request], role: str = "owner") -> list[httpx.Response | None]:
    """Send the requests so that their last bytes leave together, and return a response for each, or None."""
    for request in requests:
        transport.spend(request)
    gathered = threading.Event()
    barrier = threading.Barrier(len(requests), action=gathered.set)
    client = transport.client(role)

    def send_one(request: Request) -> httpx.Response | None:
        content = _held_back(request.content, barrier) if request.content else b""
        try:
            return transport.exchange(client, request, content)
        except (httpx.HTTPError, threading.BrokenBarrierError):
            return None
        finally:
            # A copy that fails before the barrier opens must not keep the others waiting.
            if not gathered.is_set():
                barrier.abort()

    with ThreadPoolExecutor(max_workers=len(requests)) as pool:
        return list(pool.map(send_one, requests))


def _held_back(content: bytes, barrier: threading.Barrier) -> Iterator[bytes]:
    """Yield ``content`` without its last byte, wait until every copy has sent as much, and yield the last byte."""
    yield content[:-1]
    barrier.wait(_GATHERING)
    yield content[-1:]
