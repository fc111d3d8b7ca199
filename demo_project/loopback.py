"""The addresses of this machine's loopback, at which the demo listens."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator


def loopback() -> Iterator[tuple[socket.AddressFamily, str]]:
    """Yield each family of addresses that this machine has, with the address of its loopback."""
    yield socket.AF_INET, "127.0.0.1"
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        # A machine without IPv6 refuses to create the socket or to bind it.
        probe.bind(("::1", 0))
        yield socket.AF_INET6, "::1"
