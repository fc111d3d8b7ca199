"""Read the client certificate from the headers of each kind of proxy: one reader for each ``CERTIFICATE_SOURCE``.

``proxy`` decides whether the peer is trusted. A reader gets the headers of its proxy, with "" for a missing header. The
reader returns the certificate, or None if the proxy reports no certificate. It refuses a certificate without success,
and success without a certificate. It raises only ``CertificateNotVerified``, ``CertificateMalformed`` and
``CertificateTooLarge``. Servers join a doubled header with a comma, and each reader refuses the joined value.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding

from securecore.conf import SELF_SIGNED, settings
from securecore.errors import CertificateMalformed, CertificateNotVerified, CertificateTooLarge
from securecore.identity import ClientCertificate, encodings, parse_der, parse_escaped_pem

Headers = Mapping[str, str]

VERIFY, PEM = "HTTP_X_SSL_CLIENT_VERIFY", "HTTP_X_SSL_CLIENT_CERT"
CLIENT_CERT, CLIENT_CERT_CHAIN = "HTTP_CLIENT_CERT", "HTTP_CLIENT_CERT_CHAIN"
XFCC = "HTTP_X_FORWARDED_CLIENT_CERT"
TRAEFIK = "HTTP_X_FORWARDED_TLS_CLIENT_CERT"
AWS, AWS_LEAF = "HTTP_X_AMZN_MTLS_CLIENTCERT", "HTTP_X_AMZN_MTLS_CLIENTCERT_LEAF"
#: The header in which a proxy sends the id of the request. It names no certificate.
REQUEST_ID = "HTTP_X_REQUEST_ID"
#: The header in which a proxy sends one of ``PROXY_SECRETS``.
SECRET = "HTTP_X_PROXY_AUTH"  # noqa: S105

#: The prefixes of the headers in which some proxy forwards a certificate. ``proxy`` removes all of them from a request,
#: also those that no source reads, so that no later code trusts such a header by mistake. nginx/proxied.conf overwrites
#: the same headers; tests/identity/test_header_lists.py compares the lists.
IDENTITY_PREFIXES = (
    "HTTP_X_SSL_",
    "HTTP_SSL_",
    "HTTP_X_PROXY_AUTH",
    "HTTP_CLIENT_CERT",
    "HTTP_X_CLIENT_CERT",
    "HTTP_X_CLIENT_FINGERPRINT",
    "HTTP_X_CLIENT_SUBJECT",
    "HTTP_X_CLIENT_VERIFY",
    "HTTP_X_TLS_CLIENT",
    "HTTP_X_FORWARDED_CLIENT_CERT",
    "HTTP_X_FORWARDED_TLS_CLIENT_CERT",
    "HTTP_X_FORWARDED_SSL_CLIENT",
    "HTTP_X_AMZN_MTLS_",
    "HTTP_X_ARR_CLIENTCERT",
    "HTTP_CF_CLIENT_CERT",
)


def field_name(name: str) -> str:
    """Return the field name of a header in WSGI's spelling, in lower case: ``client-cert`` for ``HTTP_CLIENT_CERT``."""
    return name.removeprefix("HTTP_").replace("_", "-").lower()


@dataclass(frozen=True)
class Source:
    """One kind of proxy.

    ``reads`` names its headers in WSGI's spelling. ``sends`` holds the prefixes of other headers that this proxy sends;
    securecore removes those without reporting a forgery.
    """

    reads: tuple[str, ...]
    read: Callable[[Headers], ClientCertificate | None]
    sends: tuple[str, ...] = ()


def certificate_of_connection(connection: object) -> ClientCertificate | None:
    """Return the client certificate of a TLS connection that gunicorn itself ends (``environ["gunicorn.socket"]``).

    Return None for a connection without TLS, and for a server that verifies no client certificate.
    """
    if not isinstance(connection, ssl.SSLSocket) or connection.context.verify_mode is ssl.CERT_NONE:
        return None
    der = connection.getpeercert(binary_form=True)
    return parse_der(der) if der else None


def _nginx(headers: Headers) -> ClientCertificate | None:
    # The value must equal "SUCCESS": a doubled header arrives joined, as "NONE,SUCCESS".
    verify, escaped = headers[VERIFY], headers[PEM]
    if verify in ("", "NONE") and not escaped:
        return None
    if verify == "SUCCESS" and escaped:
        return parse_escaped_pem(escaped)
    if verify.startswith("FAILED") and escaped and SELF_SIGNED in settings.CERTIFICATE_MATCHES:
        # The client holds the private key, or the handshake would have failed. No authority confirms the name, so the
        # lookup of the certificate's user must check is_verified.
        return dataclasses.replace(parse_escaped_pem(escaped), is_verified=False)
    if verify.startswith("FAILED") or verify in ("", "NONE"):
        raise CertificateNotVerified
    raise CertificateMalformed


def _haproxy(headers: Headers) -> ClientCertificate | None:
    # ssl_c_verify is 0 for success and also 0 without a certificate. So the value 0 counts only with a certificate.
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
    if not presented:  # RFC 9440 section 2.3: Client-Cert-Chain only with Client-Cert
        raise CertificateMalformed
    certificate = encodings.parse_byte_sequence(presented)
    if not others:
        return certificate
    return dataclasses.replace(certificate, chain=(*certificate.chain, *encodings.parse_chain(others)))


def _caddy(headers: Headers) -> ClientCertificate | None:
    # Without a certificate Caddy sends "::". Caddy sends a certificate only if it has verified the certificate.
    presented = headers[CLIENT_CERT]
    return encodings.parse_byte_sequence(presented) if presented not in ("", "::") else None


def _traefik(headers: Headers) -> ClientCertificate | None:
    presented = headers[TRAEFIK]
    return encodings.parse_base64_chain(presented) if presented else None


#: A pair of X-Forwarded-Client-Cert; values with , ; or = are quoted.
_PAIR = re.compile(r'([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;=\\\s]*))', re.ASCII)
_MANY_TIMES = ("by", "uri", "dns")


def _envoy(headers: Headers) -> ClientCertificate | None:
    # Accept one element only, the one of the trusted Envoy. Further elements come from earlier hops or from a client,
    # and securecore cannot distinguish the two.
    presented = headers[XFCC]
    if not presented:
        return None
    if len(presented) > encodings.MAX_BYTES:
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
    # The load balancer does not verify the certificate; the handshake proves only the private key. So the system check
    # securecore.E001 demands CERTIFICATE_AUTHORITIES for this source.
    presented = headers[AWS]
    return encodings.parse_escaped_chain(presented) if presented else None


def _gunicorn(headers: Headers) -> ClientCertificate | None:
    return None  # certificate_of_connection() reads the certificate; no header names it


#: The reader of each value of ``CERTIFICATE_SOURCE``. conf.py lists the same names.
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
