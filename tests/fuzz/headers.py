"""Certificates in the headers of every proxy, whole and broken, and the allowed results of a reader."""

from __future__ import annotations

import base64
import hashlib
import random
from urllib.parse import quote

from cryptography.hazmat.primitives.serialization import Encoding

from securecore.errors import CertificateMalformed, CertificateNotVerified, CertificateTooLarge
from securecore.http.edge.sources import (
    AWS,
    AWS_LEAF,
    CLIENT_CERT,
    CLIENT_CERT_CHAIN,
    PEM,
    SOURCES,
    TRAEFIK,
    VERIFY,
    XFCC,
)
from securecore.identity import ClientCertificate, identifiers
from securecore_client.wire.thumbprints import base64url

#: For each source the headers that carry a DER certificate.
Headers = dict[str, str]
READ_BY = [name for name in SOURCES if name != "gunicorn"]


def pem(der: bytes) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE-----\n"


def encoded(source: str, der: bytes) -> Headers:
    """Return the headers that the proxy sends for this certificate."""
    plain = base64.b64encode(der).decode()
    match source:
        case "nginx":
            return {VERIFY: "SUCCESS", PEM: quote(pem(der), safe="")}
        case "haproxy":
            return {VERIFY: "0", CLIENT_CERT: f":{plain}:"}
        case "rfc9440":
            return {CLIENT_CERT: f":{plain}:", CLIENT_CERT_CHAIN: f":{plain}:, :{plain}:"}
        case "caddy":
            return {CLIENT_CERT: f":{plain}:"}
        case "traefik":
            return {TRAEFIK: f"{plain},{plain}"}
        case "envoy":
            escaped = quote(pem(der), safe="")
            return {XFCC: f'By=spiffe://a/b;Hash={hashlib.sha256(der).hexdigest()};Cert="{escaped}";Chain="{escaped}"'}
        case "aws-alb":
            return {AWS_LEAF: quote(pem(der), safe="+=/")}
        case "aws-alb-passthrough":
            return {AWS: quote(pem(der), safe="+=/") * 2}
    raise AssertionError(source)


def read(source: str, headers: Headers) -> ClientCertificate | None:
    """Return the value, or None for a refusal. Any other exception reaches the caller."""
    chosen = SOURCES[source]
    try:
        certificate = chosen.read({name: headers.get(name, "") for name in chosen.reads})
    except (CertificateMalformed, CertificateNotVerified, CertificateTooLarge):
        return None
    if certificate is not None:
        check(certificate)
    return certificate


def check(certificate: ClientCertificate) -> None:
    """Assert the properties of every value."""
    der = certificate.chain[0].public_bytes(Encoding.DER)
    assert certificate.thumbprint == base64url(hashlib.sha256(der).digest())
    assert identifiers(certificate)[0] == certificate.thumbprint
    # PostgreSQL accepts no NUL in a text.
    assert "\0" not in certificate.subject + certificate.issuer + "".join(certificate.sans)


def mutated(whole: bytes, chance: random.Random) -> bytes:
    """Return ``whole`` with a few bytes flipped, changed, removed or inserted."""
    part = bytearray(whole)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        place = chance.randrange(len(part))
        match chance.randrange(4):
            case 0:
                part[place] = chance.randrange(256)
            case 1:
                part[place] ^= 1 << chance.randrange(8)
            case 2:
                del part[place : min(place + chance.choice((1, 1, 2, 16)), len(part) - 1)]
            case _:
                part[place:place] = chance.randbytes(chance.choice((1, 2, 16)))
    return bytes(part)


def mutated_headers(source: str, der: bytes, chance: random.Random) -> Headers:
    """Break the certificate before or after its encoding into headers."""
    if chance.randrange(2):
        return encoded(source, mutated(der, chance))
    headers = encoded(source, der)
    name = chance.choice(sorted(headers))
    return headers | {name: mutated(headers[name].encode("latin-1"), chance).decode("latin-1")}
