"""Whose certificate is this, and is it still wanted.

A ``ClientCertificate`` is a frozen value read from the DER bytes; a ``Certificate`` row says whose it is and whether
we revoked it. A certificate maps to a user by that row alone, found by the SHA-256 thumbprint: never by a name in it,
since any trusted CA may write any name.
"""

from securecore.identity.certificates import ClientCertificate, parse_escaped_pem, parse_pem
from securecore.identity.models import Certificate
from securecore.identity.registry import enroll, revoke

__all__ = ["Certificate", "ClientCertificate", "enroll", "parse_escaped_pem", "parse_pem", "revoke"]
