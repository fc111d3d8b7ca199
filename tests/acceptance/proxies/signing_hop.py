"""A program between nginx and gunicorn that turns nginx's headers into RFC 9440's and signs them:

    signing_hop.py LISTEN FORWARD KEY KEYID

The arguments are two unix sockets, a PEM private key, and its key id. The program signs with http-message-signatures,
so
that securecore's reading of RFC 9421 is compared with another implementation.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import socket
import socketserver
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPSignatureKeyResolver,
    algorithms,
)
from http_message_signatures.exceptions import HTTPMessageSignaturesException

COVERED = ("@method", "@authority", "@path", "@query", "client-cert")
#: Headers that this hop sets itself, and headers about one connection only.
DROPPED = ("client-cert", "client-cert-chain", "x-ssl-client-verify", "x-ssl-client-cert", "connection")


@dataclass
class Message:
    method: str
    url: str
    headers: dict[str, str]


class OneKey(HTTPSignatureKeyResolver):
    def __init__(self, pem: bytes) -> None:
        self.key: Any = load_pem_private_key(pem, None)

    def resolve_private_key(self, key_id: str) -> Any:
        return self.key


def sign(message: Message, key: OneKey, keyid: str) -> None:
    """Add a signature to the client's. Replace the client's if they use this hop's label or are malformed."""
    signer = HTTPMessageSigner(signature_algorithm=algorithms.ECDSA_P256_SHA256, key_resolver=key)
    options: dict[str, Any] = {"key_id": keyid, "label": "ttrp", "covered_component_ids": COVERED}
    try:
        signer.sign(message, append_if_signature_exists=True, **options)
    except (HTTPMessageSignaturesException, ValueError):
        signer.sign(message, **options)


class Hop(BaseHTTPRequestHandler):
    forward: str
    key: OneKey
    keyid: str

    def _pass_on(self) -> None:
        message = Message(self.command, f"https://{self.headers['Host']}{self.path}", dict(self._headers()))
        if "Client-Cert" in message.headers:
            sign(message, self.key, self.keyid)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with contextlib.closing(Upstream(self.forward)) as upstream:
            upstream.request(self.command, self.path, body or None, message.headers)
            response = upstream.getresponse()
            content = response.read()
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _pass_on

    def _headers(self) -> Iterator[tuple[str, str]]:
        for name in dict.fromkeys(self.headers):
            if name.lower().replace("_", "-") not in DROPPED:
                yield name, ", ".join(self.headers.get_all(name, []))
        if self.headers.get("X-SSL-Client-Verify") == "SUCCESS":
            certificate = x509.load_pem_x509_certificate(unquote(self.headers["X-SSL-Client-Cert"]).encode())
            yield "Client-Cert", f":{base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()}:"

    def log_message(self, *_: Any) -> None:
        pass  # the peer of a unix socket has no address to log


class Upstream(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def main(listen: str, forward: str, key: str, keyid: str) -> None:
    os.umask(0o077)
    Hop.forward, Hop.key, Hop.keyid = forward, OneKey(Path(key).read_bytes()), keyid
    Server(listen, Hop).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
