"""WEAKNESS: memory leak. The process keeps an entry for every certificate it has ever seen."""

from __future__ import annotations

import base64
import hashlib
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

BUFFER_BYTES = 16 * 1024


@dataclass
class Client:
    """The twin's entry for one certificate."""

    name: str
    subject: str
    issuer: str
    thumbprint: str
    pem: str
    first_seen: float
    requests: int = 0
    # "So that no request has to allocate one."
    buffer: bytearray = field(default_factory=lambda: bytearray(b"\0") * BUFFER_BYTES)


# The flaw: the dictionary is keyed by fingerprint and bounded neither in number nor in time. A client that renews its
# certificate every hour leaves one entry an hour. A client with a thousand certificates leaves a thousand, until the
# process has no memory left.
CLIENTS: dict[str, Client] = {}


def presented(request: Any) -> Client | None:
    """Return the client that nginx names, or None. The name in the certificate is the username."""
    if request.META.get("HTTP_X_SSL_CLIENT_VERIFY") != "SUCCESS":
        return None
    pem = unquote(request.META["HTTP_X_SSL_CLIENT_CERT"])
    fingerprint = hashlib.sha256(pem.encode()).hexdigest()
    if fingerprint not in CLIENTS:
        CLIENTS[fingerprint] = _read(pem)
    client = CLIENTS[fingerprint]
    client.requests += 1
    return client


def _read(pem: str) -> Client:
    certificate = x509.load_pem_x509_certificate(pem.encode())
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Client(
        name=str(names[0].value) if names else "",
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        thumbprint=base64.urlsafe_b64encode(certificate.fingerprint(SHA256())).rstrip(b"=").decode(),
        pem=pem,
        first_seen=time.time(),
    )
