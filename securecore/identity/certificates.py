"""A client certificate as a value."""

from __future__ import annotations

import base64
import datetime as dt
import re
from dataclasses import dataclass
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from securecore.caches import BoundedCache
from securecore.conf import settings
from securecore.digests import thumbprint
from securecore.errors import CertificateExpired, CertificateMalformed, CertificateTooLarge

#: Exactly one certificate and nothing around it. A second one would leave open which of them the proxy verified.
#: One ``\s`` and no more before the body: two neighbours that both match blanks take quadratic time to fail.
_ONE_PEM = re.compile(
    r"\s*-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*",
    re.ASCII,
)


@dataclass(frozen=True)
class ClientCertificate:
    """What the proxy verified. ``subject`` and ``issuer`` are RFC 4514 text, for people to read and never to decide
    by.
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
    #: Whether the proxy found an authority that vouches for it. If not, only an enrolment as self-signed makes it good.
    is_verified: bool = True
    #: SHA-256 of the public key (SubjectPublicKeyInfo, DER) in base64url: a renewed certificate may keep it.
    key_thumbprint: str = ""
    #: The public key itself: SubjectPublicKeyInfo, DER, in base64.
    public_key: str = ""

    def check_validity(self, now: dt.datetime) -> None:
        """Raise ``CertificateExpired`` outside the validity period: keep-alive connections outlive it (RFC 5280
        4.1.2.5).
        """
        if not self.not_before <= now <= self.not_after:
            raise CertificateExpired


def parse_pem(pem: str) -> ClientCertificate:
    """Return the one certificate in ``pem``. Raises ``CertificateMalformed`` for anything else, whatever is wrong."""
    if not _ONE_PEM.fullmatch(pem):
        raise CertificateMalformed
    try:
        return _read(x509.load_pem_x509_certificate(pem.encode("ascii")))
    except Exception as error:
        # cryptography reports unreadable certificates with exceptions of many kinds, InvalidVersion among them, which
        # is no ValueError. Each of them is the sender's fault, so each is a refusal.
        raise CertificateMalformed from error


def parse_escaped_pem(presented: str) -> ClientCertificate:
    """Return the certificate in nginx's ``$ssl_client_escaped_cert``: PEM, percent-encoded, ``+`` meaning itself.

    Raises ``CertificateTooLarge`` over ``CERTIFICATE_MAX_BYTES`` and ``CertificateMalformed``. Parsed values are kept
    in a cache that is bounded in number and time, and in the size of each entry by the limit above.
    """
    if len(presented) > settings.CERTIFICATE_MAX_BYTES:
        raise CertificateTooLarge
    certificate = _parsed.get(presented)
    if certificate is None:
        certificate = parse_pem(unquote(presented, errors="replace"))
        _parsed.put(presented, certificate)
    return certificate


#: Parsing is pure, so an entry cannot become wrong: dates and revocation are judged outside of it, every time.
_parsed: BoundedCache[ClientCertificate] = BoundedCache(
    size=lambda: settings.CERTIFICATE_CACHE_SIZE, seconds=lambda: settings.CACHE_SECONDS
)


def cached() -> int:
    """Return how many parsed certificates this process holds; never more than ``CERTIFICATE_CACHE_SIZE``."""
    return len(_parsed)


def _read(certificate: x509.Certificate) -> ClientCertificate:
    public_key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return ClientCertificate(
        thumbprint=thumbprint(certificate.public_bytes(Encoding.DER)),
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial_number=f"{certificate.serial_number:x}",
        sans=_subject_alternative_names(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key_thumbprint=thumbprint(public_key),
        public_key=base64.b64encode(public_key).decode("ascii"),
    )


_SAN_KINDS: dict[type[x509.GeneralName], str] = {
    x509.DNSName: "DNS",
    x509.UniformResourceIdentifier: "URI",
    x509.RFC822Name: "email",
    x509.IPAddress: "IP",
}


def _subject_alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(f"{_SAN_KINDS[type(name)]}:{name.value}" for name in names if type(name) in _SAN_KINDS)
