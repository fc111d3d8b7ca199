"""By what else than its thumbprint a certificate may be known: names and keys that survive its renewal.

A name counts only together with the authority that wrote it, since any trusted authority may write any name (RFC 8705
section 7.4). The common name alone is never one: nobody keeps two authorities from writing the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from securecore.conf import settings
from securecore.digests import base64url
from securecore.errors import CertificateNamesRefused, Misuse
from securecore.identity.certificates import ClientCertificate

#: Kinds of subject alternative name that a match may be about.
_KINDS = {"URI": "san-uri", "email": "san-email", "DNS": "san-dns"}
#: Each name is one more key to look up for each request. A certificate with more of them is refused.
_MOST_NAMES = 32


@dataclass(frozen=True)
class Match:
    """Every certificate with this key, or with this name by this issuer (RFC 4514 text; of a key it is empty)."""

    mode: str
    issuer: str
    value: str

    @property
    def identifier(self) -> str:
        """The primary key of its row: 43 characters, as a thumbprint has.

        SHA-256 over length-prefixed parts. A thumbprint is SHA-256 over DER, which begins with 0x30, so none of the
        one kind is ever one of the other.
        """
        hashed = hashlib.sha256(b"securecore match")
        for part in (self.mode, self.issuer, self.value):
            encoded = part.encode("utf-8", "surrogatepass")
            hashed.update(len(encoded).to_bytes(8, "big") + encoded)
        return base64url(hashed.digest())


def key_match(certificate: ClientCertificate) -> Match:
    """Return the match by the certificate's public key: every certificate has one."""
    return Match("public-key", "", certificate.key_thumbprint)


def matches(certificate: ClientCertificate) -> tuple[Match, ...]:
    """Return everything that ``certificate`` could be known by, whether or not ``CERTIFICATE_MATCHES`` has it."""
    found = [key_match(certificate)]
    for san in certificate.sans:
        kind, _, name = san.partition(":")
        if kind in _KINDS:
            found.append(Match(_KINDS[kind], certificate.issuer, _comparable(kind, name)))
    if certificate.subject:
        found.append(Match("subject", certificate.issuer, certificate.subject))
    return tuple(dict.fromkeys(found))


def identifiers(certificate: ClientCertificate) -> tuple[str, ...]:
    """Return the primary keys under which this certificate may be enrolled or revoked, its thumbprint first.

    Of a certificate that no authority vouches for, only the key counts beside the thumbprint: the handshake proved the
    key, and its holder wrote the names. Raises ``CertificateNamesRefused`` for more names than are looked up: a limit
    that left some out would let a certificate with a revoked key in, if only it had names enough.
    """
    modes = settings.CERTIFICATE_MATCHES
    if not certificate.is_verified:
        modes = tuple(mode for mode in modes if mode == "public-key")
    found = [match.identifier for match in matches(certificate) if match.mode in modes] if modes else []
    if len(found) > _MOST_NAMES:
        raise CertificateNamesRefused
    return (certificate.thumbprint, *found)


def match_of(certificate: ClientCertificate, mode: str) -> Match:
    """Return the one match of this mode. Raises ``Misuse`` if there is none, or more than one to choose from."""
    found = [match for match in matches(certificate) if match.mode == mode]
    if len(found) != 1:
        raise Misuse(f"The certificate has {len(found)} names of the kind {mode!r}; name the one that is meant.")
    return found[0]


def _comparable(kind: str, name: str) -> str:
    # RFC 5280 section 7.2 and 7.5: hosts without regard to case, local parts with it. A URI is compared as it is
    # written: SPIFFE ids are in lower case already, and no reader may find two ids where there was one.
    if kind == "DNS":
        return name.lower()
    if kind == "email":
        local, at, host = name.rpartition("@")
        return f"{local}{at}{host.lower()}"
    return name
