"""Asks a TLS 1.3 port for one key exchange group, without the cryptography of that group (RFC 8446 section 4.1.4).

The ClientHello offers the group and no key share. A server that supports the group answers HelloRetryRequest and names
the group; any other server sends an alert. So a machine with a TLS library that lacks a group can still ask for it.
"""

from __future__ import annotations

import os
import socket
import struct

from securecore_scan.client.transport import Transport
from securecore_scan.outcomes import Inconclusive

#: Named groups of the TLS registry; the hybrid ones join ML-KEM with an elliptic curve.
CLASSICAL = {"X25519": 0x001D, "secp256r1": 0x0017, "secp384r1": 0x0018}
POST_QUANTUM = {"X25519MLKEM768": 0x11EC, "SecP256r1MLKEM768": 0x11EB, "SecP384r1MLKEM1024": 0x11ED}
_SIGNATURES = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0807, 0x0401, 0x0501, 0x0601)
_CIPHERS = (0x1301, 0x1302, 0x1303)
#: The random of a HelloRetryRequest: SHA-256 of that word (section 4.1.3).
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_HANDSHAKE, _ALERT = 22, 21
_TIMEOUT = 5.0


def agrees(transport: Transport, group: int) -> bool:
    """Say whether the port agrees to ``group``. Raises ``Inconclusive`` without an answer in TLS 1.3."""
    transport.budget.spend()
    try:
        with socket.create_connection(transport.address, timeout=_TIMEOUT) as connection:
            connection.sendall(_hello(transport.address[0], group))
            kind, content = _record(connection)
    except OSError as error:
        raise Inconclusive(f"no TLS 1.3 answer: {type(error).__name__}") from None
    transport.budget.record_handshake()
    if kind == _HANDSHAKE:
        # Type, length and version precede the random: 1, 3 and 2 bytes.
        return content[:1] == b"\x02" and content[6:38] == _RETRY
    if kind == _ALERT:
        return False
    raise Inconclusive("the port does not speak TLS")


def _hello(host: str, group: int) -> bytes:
    name = host.encode("idna")
    extensions = b"".join(
        (
            _extension(0, _vector(2, b"\x00" + _vector(2, name))),
            _extension(10, _vector(2, struct.pack("!H", group))),
            _extension(13, _vector(2, struct.pack(f"!{len(_SIGNATURES)}H", *_SIGNATURES))),
            _extension(43, _vector(1, b"\x03\x04")),
            _extension(51, _vector(2, b"")),
        )
    )
    ciphers = struct.pack(f"!{len(_CIPHERS)}H", *_CIPHERS)
    body = b"\x03\x03" + os.urandom(32) + _vector(1, os.urandom(32)) + _vector(2, ciphers)
    body += _vector(1, b"\x00") + _vector(2, extensions)
    return struct.pack("!BH", _HANDSHAKE, 0x0301) + _vector(2, b"\x01" + _vector(3, body))


def _extension(kind: int, content: bytes) -> bytes:
    return struct.pack("!H", kind) + _vector(2, content)


def _vector(width: int, content: bytes) -> bytes:
    """Return ``content`` behind its length of ``width`` bytes."""
    return len(content).to_bytes(width, "big") + content


def _record(connection: socket.socket) -> tuple[int, bytes]:
    with connection.makefile("rb") as stream:
        head = stream.read(5)
        if len(head) < 5:
            raise ConnectionError("the connection ended within a record")
        return head[0], stream.read(int.from_bytes(head[3:5], "big"))
