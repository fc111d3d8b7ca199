"""Handshakes, looked at for themselves."""

from __future__ import annotations

import contextlib
import socket
import ssl
import warnings
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from securecore_scan.client.wire import Wire
from securecore_scan.verdict import NotJudged

_TIMEOUT = 5.0


@dataclass(frozen=True)
class Handshake:
    """How a handshake ended: what was agreed on, or the reason of the library that refused."""

    version: str | None
    cipher: str | None
    certificate: bytes | None
    refusal: str = ""

    @property
    def succeeded(self) -> bool:
        return self.version is not None


def shake(wire: Wire, context: ssl.SSLContext) -> Handshake:
    """Try one handshake. Raises ``NotJudged`` if nobody is there: that is no refusal."""
    host, port = wire.address
    wire.budget.spend()
    try:
        plain = socket.create_connection((host, port), timeout=_TIMEOUT)
    except OSError as error:
        raise NotJudged(f"no connection: {type(error).__name__}") from None
    try:
        with plain, context.wrap_socket(plain, server_hostname=host) as tls:
            cipher = tls.cipher()
            return Handshake(tls.version(), cipher and cipher[0], tls.getpeercert(binary_form=True))
    except ssl.SSLError as error:
        return Handshake(None, None, None, error.reason or type(error).__name__)
    except OSError as error:
        return Handshake(None, None, None, type(error).__name__)


def lenient(version: ssl.TLSVersion, ciphers: str = "ALL:COMPLEMENTOFALL:@SECLEVEL=0") -> ssl.SSLContext:
    """Return a context that agrees to this version alone, believes everybody, and has no taste in ciphers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        # TLS 1.0 and 1.1 are deprecated. That is the point.
        warnings.simplefilter("ignore", DeprecationWarning)
        with contextlib.suppress(ssl.SSLError):
            context.set_ciphers(ciphers)
        context.minimum_version = context.maximum_version = version
    return context


def server_certificate(wire: Wire) -> x509.Certificate | None:
    """Return the server's certificate, believed or not."""
    if not wire.is_tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    found = shake(wire, context).certificate
    return x509.load_der_x509_certificate(found) if found else None


def server_key(wire: Wire) -> bytes | None:
    """Return the public key of the server's certificate as PEM."""
    certificate = server_certificate(wire)
    if certificate is None:
        return None
    return certificate.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
