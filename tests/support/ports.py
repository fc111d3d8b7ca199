"""Ports for servers that a test starts."""

from __future__ import annotations

import secrets
import socket


def free_port() -> int:
    """Return a port of loopback on which nothing listens, and that no other test gets while this process runs.

    The port is below those from which clients connect: a client could take a port of theirs before the server listens.
    It is not chosen by ``random``, which pytest-randomly seeds alike in each process.

    An abstract unix socket with the port in its name tells the other processes of the suite. It is open to the end of
    this process.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_768)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0securecore-tests-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        claim.detach()
        return port
