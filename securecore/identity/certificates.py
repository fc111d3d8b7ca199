"""A client certificate as a frozen value."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from securecore.digests import record_id
from securecore.errors import CertificateExpired
from securecore.identity import names
from securecore_client.wire.thumbprints import thumbprint


@dataclass(frozen=True)
class ClientCertificate:
    """A client certificate that the proxy named.

    ``subject`` and ``issuer`` are RFC 4514 text for people to read. ``securecore.identity.matching`` decides by them
    only together.
    """

    #: SHA-256 of the DER in base64url, 43 characters: ``x5t#S256`` of RFC 8705 section 3.1.
    thumbprint: str
    subject: str
    issuer: str
    #: Hexadecimal, lower case, without leading zeros.
    serial_number: str
    #: Subject alternative names as ``kind:value``, kinds as in RFC 5280: DNS, URI, email, IP.
    sans: tuple[str, ...]
    not_before: dt.datetime
    not_after: dt.datetime
    #: Whether the proxy verified a chain to a trusted authority. If not, only an enrolment as self-signed makes the
    #: certificate good.
    is_verified: bool = True
    #: SHA-256 of the public key (SubjectPublicKeyInfo, DER) in base64url. A renewed certificate may have the same key.
    key_thumbprint: str = ""
    #: The public key itself: SubjectPublicKeyInfo, DER, in base64.
    public_key: str = ""
    #: Kind and size of the key: ``P-256``, ``RSA-3072``, ``Ed25519``.
    key_type: str = ""
    #: The presented chain, this certificate first.
    chain: tuple[x509.Certificate, ...] = field(default=(), repr=False, compare=False)

    @cached_property
    def serial_id(self) -> UUID:
        """The record id of issuer and serial number, by which a revocation list names the certificate."""
        return serial_id(self.issuer, self.serial_number)

    @cached_property
    def issuer_id(self) -> UUID:
        """The record id of the issuer, by which a revocation list that has ended refuses all its certificates."""
        return issuer_id(self.issuer)

    def check_validity(self, now: dt.datetime) -> None:
        """Raise ``CertificateExpired`` outside the validity period (RFC 5280 section 4.1.2.5).

        The proxy judges the dates at the handshake only, and a keep-alive connection can outlive the certificate.
        """
        if not self.not_before <= now <= self.not_after:
            raise CertificateExpired


def serial_id(issuer: str, serial_number: str) -> UUID:
    """Return the record id of a certificate by its issuer, RFC 4514 text, and serial number, hexadecimal."""
    return record_id("listed certificate", issuer, serial_number)


def issuer_id(issuer: str) -> UUID:
    """Return the record id of an issuer, RFC 4514 text."""
    return record_id("issuer of listed certificates", issuer)


#: The last instant that a row names. The certificate of a device may end at 9999-12-31 23:59:59 (RFC 5280 section
#: 4.1.2.5). In a time zone ahead of UTC, or with a timeout added, that is no date any more.
END_OF_TIME = dt.datetime(9999, 12, 30, tzinfo=dt.UTC)

#: Bits. RFC 5280 section 4.1.2.2 allows 160. The table of certificates has room for 256.
_LONGEST_SERIAL = 256


def read(chain: tuple[x509.Certificate, ...]) -> ClientCertificate:
    """Return the value of the first certificate of ``chain``.

    Raises exceptions of many kinds for malformed contents. The callers in ``encodings`` turn each into a refusal.
    """
    certificate = chain[0]
    if certificate.serial_number.bit_length() > _LONGEST_SERIAL:
        raise ValueError("The serial number is too long.")
    key = certificate.public_key()
    public_key = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return ClientCertificate(
        thumbprint=thumbprint(certificate.public_bytes(Encoding.DER)),
        subject=_subject(certificate),
        issuer=_issuer(certificate),
        serial_number=f"{certificate.serial_number:x}",
        sans=_subject_alternative_names(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key_thumbprint=thumbprint(public_key),
        public_key=base64.b64encode(public_key).decode("ascii"),
        key_type=_key_type(key),
        chain=chain,
    )


_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


def _key_type(key: object) -> str:
    match key:
        case ec.EllipticCurvePublicKey():
            return _CURVES.get(key.curve.name, key.curve.name)
        case rsa.RSAPublicKey():
            return f"RSA-{key.key_size}"
        case ed25519.Ed25519PublicKey():
            return "Ed25519"
        case ed448.Ed448PublicKey():
            return "Ed448"
    return type(key).__name__.removesuffix("PublicKey")


_SAN_KINDS: dict[type[x509.GeneralName], str] = {
    x509.DNSName: "DNS",
    x509.UniformResourceIdentifier: "URI",
    x509.RFC822Name: "email",
    x509.IPAddress: "IP",
}


def _subject(certificate: x509.Certificate) -> str:
    try:
        return certificate.subject.rfc4514_string()
    except ValueError:  # Latin-1, for example: people read this text, and no text refuses a certificate
        return names.subject(certificate.tbs_certificate_bytes)


def _issuer(certificate: x509.Certificate) -> str:
    try:
        return certificate.issuer.rfc4514_string()
    except ValueError:
        return names.issuer(certificate.tbs_certificate_bytes)


def _subject_alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    except ValueError:  # another extension is invalid, for example a notice in the policies
        return names.subject_alternative_names(certificate.tbs_certificate_bytes)
    found = extension.value
    return tuple(f"{_SAN_KINDS[type(name)]}:{name.value}" for name in found if type(name) in _SAN_KINDS)
