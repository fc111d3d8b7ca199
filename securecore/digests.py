"""Digests that are stored in place of secrets and unique values, and the random values themselves.

A *record id* names a value that must be unique until it expires, for example a nonce. A *secret* is 256 random bits, of
which only a digest is stored.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import uuid
from typing import Any

from securecore_client.wire.thumbprints import base64url


def record_id(kind: str, *parts: str) -> uuid.UUID:
    """Return the primary key of a record that stands for ``parts`` within ``kind``.

    The key is the first 16 bytes of SHA-256 over the length-prefixed parts. Measured on PostgreSQL, that needs a third
    of the WAL and of the index of a unique varchar. The length prefix keeps ``("a", "bc")`` and ``("ab", "c")`` apart.
    To forge a collision with a given record costs 2^128 work. Lone surrogates, which no RFC allows, are kept distinct.
    """
    hashed = hashlib.sha256()
    for part in (kind, *parts):
        encoded = part.encode("utf-8", "surrogatepass")
        hashed.update(len(encoded).to_bytes(8, "big"))
        hashed.update(encoded)
    return uuid.UUID(bytes=hashed.digest()[:16])


def new_secret() -> str:
    """Return 256 random bits as 43 base64url characters (ASVS 5.0 v5.0.0-7.2.3 asks for 128)."""
    return secrets.token_urlsafe(32)


def new_identifier() -> str:
    """Return 128 random bits as 22 base64url characters, for values that are unique but not secret (``jti``)."""
    return secrets.token_urlsafe(16)


def new_name() -> str:
    """Return 128 random bits as 32 hexadecimal characters, for names that people type.

    base64url may begin with a ``-``, which a command line parses as an option: one key in 64 could not be retired.
    """
    return secrets.token_hex(16)


#: The members that make up a public key, in the order in which they are hashed (RFC 7638 section 3.2, RFC 8037 2).
_THUMBPRINT_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}


def jwk_thumbprint(jwk: dict[str, Any]) -> str:
    """Return the ``jkt`` thumbprint of a public JWK, 43 characters (RFC 7638, RFC 9449 section 6.1).

    Other members do not count. Raises ``KeyError`` for an unknown ``kty`` or a missing member. The digest is over the
    spelling of the values, so check first that they are canonical.
    """
    members = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    return base64url(hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest())


def from_base64url(encoded: str) -> bytes:
    """Return the bytes that ``base64url`` writes as ``encoded``. Raises ``ValueError`` for every other spelling.

    Python's decoder skips unknown characters and ignores spare bits, so it would accept many spellings of one value.
    """
    raw = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    if base64url(raw) != encoded:
        raise ValueError("not canonical base64url")
    return raw
