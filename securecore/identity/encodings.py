"""Parse the certificates that proxies write into headers.

Every function accepts hostile text. It returns a ``ClientCertificate`` (or a chain) or raises ``CertificateMalformed``
(400) or, above ``MAX_BYTES``, ``CertificateTooLarge`` (431). No other exception leaves a function that gets a
text. Which header is trusted is decided in ``securecore.http``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar
from urllib.parse import unquote

import http_sf
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from securecore.caches import BoundedCache
from securecore.errors import CertificateMalformed, CertificateTooLarge, Misuse
from securecore.identity.certificates import ClientCertificate, read

Chain = tuple[x509.Certificate, ...]
Text = TypeVar("Text", str, bytes)
Value = TypeVar("Value")

#: Bytes of one presented certificate or chain; the response to a longer one is 431. A certificate with 4096-bit RSA and
#: a few names is 3 KiB as escaped PEM, and nginx accepts 16 KiB of headers from a client.
MAX_BYTES = 16_384

#: Exactly one ``\s`` before the body: two adjacent parts that both match blanks would take quadratic time to fail.
_BLOCK = r"\s*-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----"
#: Exactly one certificate and nothing around it. With two certificates it would be unclear which one the proxy
#: verified.
_ONE_PEM = re.compile(rf"{_BLOCK}\s*", re.ASCII)
#: A chain as in the handshake: the client's own certificate comes first (RFC 8446 section 4.4.2).
_PEMS = re.compile(rf"(?:{_BLOCK})+\s*", re.ASCII)


def parse_pem(pem: str) -> ClientCertificate:
    """Return the one certificate in ``pem``. Raises ``Misuse`` for bytes, which no header contains."""
    if not isinstance(pem, str):
        raise Misuse('parse_pem() takes text. Read a file by parse_file(Path("alice.pem").read_bytes()).')
    return _refusing(_one_pem, pem)


def parse_der(der: bytes) -> ClientCertificate:
    """Return the certificate with exactly this DER encoding."""
    return _cached(_der, der)


def parse_escaped_pem(presented: str) -> ClientCertificate:
    """Return the certificate of a percent-encoded PEM.

    nginx (``$ssl_client_escaped_cert``), Envoy (``Cert``) and AWS load balancers (the leaf) send this form. A ``+``
    means itself, because AWS does not encode it.
    """
    return _cached(_escaped_pem, presented)


def parse_escaped_chain(presented: str) -> ClientCertificate:
    """Return the first certificate of a percent-encoded PEM chain, which is the client's own."""
    return _cached(_escaped_chain, presented)


def parse_byte_sequence(presented: str) -> ClientCertificate:
    """Return the certificate of a ``Client-Cert`` header: one byte sequence of DER (RFC 9440 section 2.2)."""
    return _cached(_byte_sequence, presented)


def parse_chain(presented: str) -> Chain:
    """Return the chain of a ``Client-Cert-Chain`` header, without the client's own (RFC 9440 section 2.3)."""
    return _cached(_byte_sequences, presented)


def parse_base64_chain(presented: str) -> ClientCertificate:
    """Return the first certificate of Traefik's header: base64 certificates joined with commas, the client's own first.

    A doubled header looks like a chain, because servers join two headers with a comma. So each certificate must be
    issued by the next one: an attacker's header then cannot pass as the beginning of a chain.
    """
    return _cached(_base64_chain, presented)


def _cached(decode: Callable[[Text], Value], presented: Text) -> Value:
    # MAX_BYTES bounds the size of an entry; the cache bounds the number of entries.
    if len(presented) > MAX_BYTES:
        raise CertificateTooLarge
    value: Value | None = parsed.get((decode, presented))
    if value is None:
        value = _refusing(decode, presented)
        parsed.put((decode, presented), value)
    return value


#: Certificates by their encoded text. Parsing is pure, so an entry cannot become wrong. Dates and revocation are judged
#: at each request, not here.
parsed: BoundedCache[Any] = BoundedCache()


def _refusing(decode: Callable[[Text], Value], presented: Text) -> Value:
    try:
        return decode(presented)
    except CertificateMalformed:
        raise
    except Exception as error:
        # cryptography reports unreadable certificates with exceptions of many kinds, for example InvalidVersion, which
        # is no ValueError. Each is the sender's fault and so becomes a refusal.
        raise CertificateMalformed from error


def _one_pem(pem: str) -> ClientCertificate:
    if not _ONE_PEM.fullmatch(pem):
        raise CertificateMalformed
    return read((x509.load_pem_x509_certificate(pem.encode("ascii")),))


def _escaped_pem(presented: str) -> ClientCertificate:
    return _one_pem(unquote(presented, errors="replace"))


def _escaped_chain(presented: str) -> ClientCertificate:
    pems = unquote(presented, errors="replace")
    if not _PEMS.fullmatch(pems):
        raise CertificateMalformed
    return read(tuple(x509.load_pem_x509_certificates(pems.encode("ascii"))))


def _der(der: bytes) -> ClientCertificate:
    return read((x509.load_der_x509_certificate(der),))


def _byte_sequence(presented: str) -> ClientCertificate:
    value: Any = http_sf.parse(presented.encode("ascii"), tltype="item")
    return _der(_bare_bytes(value))


def _byte_sequences(presented: str) -> Chain:
    values: Any = http_sf.parse(presented.encode("ascii"), tltype="list")
    return tuple(x509.load_der_x509_certificate(_bare_bytes(value)) for value in values)


def _bare_bytes(item: Any) -> bytes:
    value, parameters = item
    if not isinstance(value, bytes) or not value or parameters:
        raise CertificateMalformed
    return value


def _base64_chain(presented: str) -> ClientCertificate:
    if "%" in presented:
        # Traefik 2.8 to 2.9.1 escapes the header, also the commas: as net/url's QueryEscape. No base64 holds a %.
        presented = unquote(presented, errors="replace")
    ders = [base64.b64decode(part, validate=True) for part in presented.encode("ascii").split(b",")]
    chain = tuple(x509.load_der_x509_certificate(der) for der in ders)
    for certificate, issuer in pairwise(chain):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError) as error:
            raise CertificateMalformed from error
    return read(chain)
