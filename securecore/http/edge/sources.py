"""In which words each proxy says whose certificate it verified, one reader for each ``CERTIFICATE_SOURCE``.

A reader takes the headers that are its own, with "" for one that was not sent, and returns the certificate, or None if
the proxy says that there was none. Both directions are refused: a certificate without success, and success without a
certificate. It raises ``CertificateNotVerified``, ``CertificateMalformed`` and ``CertificateTooLarge``, and nothing
else. Servers join a doubled header with a comma, and no reader takes the result.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from securecore.conf import settings
from securecore.errors import CertificateMalformed, CertificateNotVerified, CertificateTooLarge
from securecore.identity import ClientCertificate, encodings, parse_der, parse_escaped_pem

Headers = Mapping[str, str]

VERIFY, PEM = "HTTP_X_SSL_CLIENT_VERIFY", "HTTP_X_SSL_CLIENT_CERT"
CLIENT_CERT, CLIENT_CERT_CHAIN = "HTTP_CLIENT_CERT", "HTTP_CLIENT_CERT_CHAIN"
XFCC = "HTTP_X_FORWARDED_CLIENT_CERT"
TRAEFIK = "HTTP_X_FORWARDED_TLS_CLIENT_CERT"
AWS, AWS_LEAF = "HTTP_X_AMZN_MTLS_CLIENTCERT", "HTTP_X_AMZN_MTLS_CLIENTCERT_LEAF"


@dataclass(frozen=True)
class Source:
    """``reads`` names the headers in WSGI's spelling; ``sends`` begins what the proxy says besides, which is removed
    without a word.
    """

    reads: tuple[str, ...]
    read: Callable[[Headers], ClientCertificate | None]
    sends: tuple[str, ...] = ()


def certificate_of_connection(connection: Any) -> ClientCertificate | None:
    """Return the certificate of the TLS connection that the server ended itself (``environ["gunicorn.socket"]``).

    None on a plain connection, and on one whose server verifies nothing.
    """
    if not isinstance(connection, ssl.SSLSocket) or connection.context.verify_mode is ssl.CERT_NONE:
        return None
    der = connection.getpeercert(binary_form=True)
    return parse_der(der) if der else None


def _nginx(headers: Headers) -> ClientCertificate | None:
    # Equal to "SUCCESS" and nothing less: doubled headers arrive joined, as "NONE,SUCCESS".
    verify, escaped = headers[VERIFY], headers[PEM]
    if verify in ("", "NONE") and not escaped:
        return None
    if verify == "SUCCESS" and escaped:
        return parse_escaped_pem(escaped)
    if verify.startswith("FAILED") and escaped and settings.SELF_SIGNED_CERTIFICATES:
        # The client holds the key, or the handshake had failed; that nobody vouches for the name is judged next.
        return dataclasses.replace(parse_escaped_pem(escaped), is_verified=False)
    if verify.startswith("FAILED") or verify in ("", "NONE"):
        raise CertificateNotVerified
    raise CertificateMalformed


def _haproxy(headers: Headers) -> ClientCertificate | None:
    # ssl_c_verify is 0 for success, and 0 too where there was no certificate to verify: only both together count.
    verify, presented = headers[VERIFY], headers[CLIENT_CERT]
    if verify in ("", "0") and not presented:
        return None
    if verify == "0":
        return encodings.parse_byte_sequence(presented)
    if re.fullmatch(r"[0-9]{0,3}", verify, re.ASCII):
        raise CertificateNotVerified
    raise CertificateMalformed


def _rfc9440(headers: Headers) -> ClientCertificate | None:
    presented, others = headers[CLIENT_CERT], headers[CLIENT_CERT_CHAIN]
    if not presented and not others:
        return None
    if not presented:  # section 2.3: no chain without its end
        raise CertificateMalformed
    certificate = encodings.parse_byte_sequence(presented)
    if not others:
        return certificate
    return dataclasses.replace(certificate, chain=(*certificate.chain, *encodings.parse_chain(others)))


def _caddy(headers: Headers) -> ClientCertificate | None:
    # Caddy writes the colons around nothing. It has a certificate to write only if it verified one.
    presented = headers[CLIENT_CERT]
    return encodings.parse_byte_sequence(presented) if presented not in ("", "::") else None


def _traefik(headers: Headers) -> ClientCertificate | None:
    presented = headers[TRAEFIK]
    return encodings.parse_base64_chain(presented) if presented else None


#: A pair of X-Forwarded-Client-Cert; values with , ; or = are quoted.
_PAIR = re.compile(r'([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;=\\\s]*))', re.ASCII)
_MANY_TIMES = ("by", "uri", "dns")


def _envoy(headers: Headers) -> ClientCertificate | None:
    # One element, that of our own Envoy. More are hops before it, or a client's: which, nobody can tell.
    presented = headers[XFCC]
    if not presented:
        return None
    if len(presented) > settings.CERTIFICATE_MAX_BYTES:
        raise CertificateTooLarge
    pairs = _pairs(presented)
    certificate = parse_escaped_pem(pairs.get("cert", ""))
    digest = hashlib.sha256(certificate.chain[0].public_bytes(Encoding.DER)).hexdigest()
    if not hmac.compare_digest(pairs.get("hash", digest).lower().encode(), digest.encode()):
        raise CertificateMalformed
    if not pairs.get("chain"):
        return certificate
    whole = encodings.parse_escaped_chain(pairs["chain"])
    if whole.thumbprint != certificate.thumbprint:
        raise CertificateMalformed
    return whole


def _pairs(element: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    place = 0
    while pair := _PAIR.match(element, place):
        key = pair[1].lower()
        if key in pairs and key not in _MANY_TIMES:
            raise CertificateMalformed
        pairs[key] = pair[3] if pair[2] is None else pair[2]
        place = pair.end()
        if place == len(element):
            return pairs
        if element[place] != ";":
            break
        place += 1
    raise CertificateMalformed


def _aws_alb(headers: Headers) -> ClientCertificate | None:
    presented = headers[AWS_LEAF]
    return parse_escaped_pem(presented) if presented else None


def _aws_alb_passthrough(headers: Headers) -> ClientCertificate | None:
    # Nobody has verified it yet but the handshake: securecore.E001 demands CERTIFICATE_ROOTS for this source.
    presented = headers[AWS]
    return encodings.parse_escaped_chain(presented) if presented else None


def _gunicorn(headers: Headers) -> ClientCertificate | None:
    return None  # certificate_of_connection() says it; no header does


SOURCES = {
    "nginx": Source((VERIFY, PEM), _nginx, sends=("HTTP_X_SSL_",)),
    "haproxy": Source((VERIFY, CLIENT_CERT), _haproxy, sends=("HTTP_X_SSL_",)),
    "rfc9440": Source((CLIENT_CERT, CLIENT_CERT_CHAIN), _rfc9440),
    "caddy": Source((CLIENT_CERT,), _caddy),
    "traefik": Source((TRAEFIK,), _traefik, sends=(f"{TRAEFIK}_INFO",)),
    "envoy": Source((XFCC,), _envoy),
    "aws-alb": Source((AWS_LEAF,), _aws_alb, sends=(f"{AWS}_",)),
    "aws-alb-passthrough": Source((AWS,), _aws_alb_passthrough),
    "gunicorn": Source((), _gunicorn),
}
