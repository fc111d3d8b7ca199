"""Makes single TLS handshakes, and reads their result."""

from __future__ import annotations

import contextlib
import socket
import ssl
import warnings
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from securecore_scan.client.transport import Transport
from securecore_scan.outcomes import Inconclusive

_TIMEOUT = 5.0


@dataclass(frozen=True)
class Handshake:
    """The result of a handshake: version, cipher and certificate of the server, or the reason of the refusal."""

    version: str | None
    cipher: str | None
    certificate: bytes | None
    refusal: str = ""

    @property
    def succeeded(self) -> bool:
        return self.version is not None


def handshake(transport: Transport, context: ssl.SSLContext) -> Handshake:
    """Try one handshake. Raises ``Inconclusive`` if the TCP connection fails: that is no refusal of the TLS version."""
    host, port = transport.address
    transport.budget.spend()
    try:
        plain = socket.create_connection((host, port), timeout=_TIMEOUT)
    except OSError as error:
        raise Inconclusive(f"no connection: {type(error).__name__}") from None
    try:
        with plain, context.wrap_socket(plain, server_hostname=host) as tls:
            cipher = tls.cipher()
            transport.budget.record_handshake()
            return Handshake(tls.version(), cipher and cipher[0], tls.getpeercert(binary_form=True))
    except ssl.SSLError as error:
        return Handshake(None, None, None, error.reason or type(error).__name__)
    except OSError as error:
        return Handshake(None, None, None, type(error).__name__)


def permissive_context(version: ssl.TLSVersion, ciphers: str = "ALL:COMPLEMENTOFALL:@SECLEVEL=0") -> ssl.SSLContext:
    """Return a context that offers this TLS version only, accepts any certificate, and offers ``ciphers``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        # Python warns of TLS 1.0 and 1.1; the scanner offers them on purpose.
        warnings.simplefilter("ignore", DeprecationWarning)
        with contextlib.suppress(ssl.SSLError):
            context.set_ciphers(ciphers)
        context.minimum_version = context.maximum_version = version
    return context


def any_server_context(transport: Transport) -> ssl.SSLContext:
    """Return a context with today's versions and the owner's certificate that accepts any server certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    identity = transport.identity("owner") if transport.has("owner") else None
    if identity is not None:
        context.load_cert_chain(identity.cert, identity.key)
    return context


def server_certificate(transport: Transport) -> x509.Certificate | None:
    """Return the server's certificate, trusted or not, and None for plain http or a failed handshake."""
    if not transport.is_tls:
        return None
    found = handshake(transport, any_server_context(transport)).certificate
    return x509.load_der_x509_certificate(found) if found else None


def server_key(transport: Transport) -> bytes | None:
    """Return the public key of the server's certificate in PEM, or None."""
    certificate = server_certificate(transport)
    if certificate is None:
        return None
    return certificate.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
