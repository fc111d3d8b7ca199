"""Ports for servers that a test starts."""

from __future__ import annotations

import contextlib
import secrets
import socket


def free_port() -> int:
    """Return a port of loopback on which nothing listens.

    The port is below those from which clients connect: a client could take a port of theirs before the server listens.
    It is not chosen by ``random``, which pytest-randomly seeds alike in each process.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
