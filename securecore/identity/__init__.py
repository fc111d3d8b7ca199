"""Whose certificate is this, and is it still wanted.

A ``ClientCertificate`` is a frozen value read from what a proxy forwards (``encodings``); ``chain`` is for those who
verify it once more. A ``Certificate`` row says whose it is and whether we revoked it, found by the SHA-256 thumbprint,
or, where ``CERTIFICATE_MATCHES`` says so, by its key or by a name together with its issuer: never by a name alone,
since any trusted CA may write any name.
"""

from securecore.identity import chain
from securecore.identity.certificates import ClientCertificate
from securecore.identity.encodings import parse_der, parse_escaped_pem, parse_pem
from securecore.identity.matching import Match, identifiers, match_of
from securecore.identity.models import Certificate, CertificateIdentifier
from securecore.identity.obtained import remember, thumbprints_of
from securecore.identity.registry import admit, enroll, enroll_match, owner_of, present, revoke

__all__ = [
    "Certificate",
    "CertificateIdentifier",
    "ClientCertificate",
    "Match",
    "admit",
    "chain",
    "enroll",
    "enroll_match",
    "identifiers",
    "match_of",
    "owner_of",
    "parse_der",
    "parse_escaped_pem",
    "parse_pem",
    "present",
    "remember",
    "revoke",
    "thumbprints_of",
]
