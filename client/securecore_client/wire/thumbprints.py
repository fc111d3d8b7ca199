"""Write the digests by which a token, a proof or a signature names a certificate or an access token."""

from __future__ import annotations

import base64
import hashlib


def base64url(raw: bytes) -> str:
    """Return ``raw`` in base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def thumbprint(der: bytes) -> str:
    """Return the ``x5t#S256`` thumbprint of a DER certificate, 43 characters (RFC 8705 section 3.1)."""
    return base64url(hashlib.sha256(der).digest())


def access_token_hash(access_token: str) -> str:
    """Return the ``ath`` of an access token, 43 characters (RFC 9449 section 4.2)."""
    return base64url(hashlib.sha256(access_token.encode()).digest())
