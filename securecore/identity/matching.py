"""Match certificates by a public key or a name, which survive the renewal of a certificate.

A name counts only together with its issuer, since any trusted authority may write any name (RFC 8705 section 7.4). For
the same reason no match is the common name alone: two authorities may issue the same common name. Rows are not read
here; ``registry`` and ``obtained`` do that.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from securecore.conf import settings
from securecore.errors import CertificateNamesRefused, Misuse
from securecore.identity.certificates import ClientCertificate
from securecore.texts import quoted
from securecore_client.wire.thumbprints import base64url

#: The mode of a match for each kind of subject alternative name.
_KINDS = {"URI": "san-uri", "email": "san-email", "DNS": "san-dns"}
#: Each name is one more primary key in each request's query. A certificate with more names is refused.
_MOST_NAMES = 32


@dataclass(frozen=True)
class Match:
    """All certificates with one public key, or with one name by one issuer.

    ``issuer`` is RFC 4514 text, and empty for a public key.
    """

    mode: str
    issuer: str
    value: str

    @property
    def identifier(self) -> str:
        """The primary key of the match's row: 43 characters, as long as a thumbprint.

        The identifier is SHA-256 over length-prefixed parts behind ``securecore match``. A thumbprint is SHA-256 over
        DER, which begins with 0x30. So an identifier never equals a thumbprint.
        """
        hashed = hashlib.sha256(b"securecore match")
        for part in (self.mode, self.issuer, self.value):
            encoded = part.encode("utf-8", "surrogatepass")
            hashed.update(len(encoded).to_bytes(8, "big") + encoded)
        return base64url(hashed.digest())


def key_match(certificate: ClientCertificate) -> Match:
    """Return the match by the certificate's public key."""
    return Match("public-key", "", certificate.key_thumbprint)


def matches(certificate: ClientCertificate) -> tuple[Match, ...]:
    """Return every match that describes ``certificate``, also of modes that ``CERTIFICATE_MATCHES`` leaves out."""
    described = [key_match(certificate)]
    for san in certificate.sans:
        kind, _, name = san.partition(":")
        if kind in _KINDS:
            described.append(Match(_KINDS[kind], certificate.issuer, _comparable(kind, name)))
    if certificate.subject:
        described.append(Match("subject", certificate.issuer, certificate.subject))
    return tuple(dict.fromkeys(described))


def identifiers(certificate: ClientCertificate) -> tuple[str, ...]:
    """Return the primary keys under which this certificate may be enrolled or revoked, its thumbprint first.

    For a self-signed certificate only the thumbprint and the key count: the handshake proved the key, but the holder
    wrote the names. Raises ``CertificateNamesRefused`` for more than 32 matches. Ignoring the surplus would be unsafe:
    a certificate with a revoked name could hide that name behind 32 others.
    """
    modes = settings.CERTIFICATE_MATCHES
    if not certificate.is_verified:
        modes = tuple(mode for mode in modes if mode == "public-key")
    matched = [match.identifier for match in matches(certificate) if match.mode in modes] if modes else []
    if len(matched) > _MOST_NAMES:
        raise CertificateNamesRefused
    return (certificate.thumbprint, *matched)


def match_of(certificate: ClientCertificate, mode: str) -> Match:
    """Return the certificate's one match of this mode. Raises ``Misuse`` if it has none or several."""
    if not isinstance(certificate, ClientCertificate):
        raise Misuse(
            'match_of() needs a certificate: match_of(parse_file(Path("alice.pem").read_bytes()), "public-key").'
        )
    candidates = [match for match in matches(certificate) if match.mode == mode]
    if len(candidates) != 1:
        raise Misuse(
            f"The certificate has {len(candidates)} names of the kind {quoted(mode)}; name the one that is meant."
        )
    return candidates[0]


def _comparable(kind: str, name: str) -> str:
    # RFC 5280 section 7.2 and 7.5: host names ignore case, local parts do not. A URI stays as it is written: SPIFFE ids
    # are lower case already.
    if kind == "DNS":
        return name.lower()
    if kind == "email":
        local, at, host = name.rpartition("@")
        return f"{local}{at}{host.lower()}"
    return name
