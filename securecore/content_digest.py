"""What a body hashes to, in the ``Content-Digest`` field (RFC 9530 section 2). Needs no Django: a client makes the
same field.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import http_sf

from securecore.errors import ContentDigestMalformed, ContentDigestMismatch

#: The two that the IANA registry calls active (section 5). The rest are broken, or no digests at all.
_HASHES = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
#: Characters. Both of them take 152.
_LONGEST = 1024


def content_digest(body: bytes, algorithm: str = "sha-256") -> str:
    """Return the value of ``Content-Digest`` for the bytes of a body as they go over the wire (section 2)."""
    return http_sf.ser({algorithm: _HASHES[algorithm](body).digest()})


def check_content_digest(presented: str, body: bytes) -> None:
    """Compare a presented ``Content-Digest`` with the body that came.

    Raises ``ContentDigestMalformed`` if it is no dictionary of byte sequences or has neither sha-256 nor sha-512, and
    ``ContentDigestMismatch`` if either of them is another body's. Other algorithms are ignored (section 2).
    """
    digests = {name: value for name, value in _members(presented).items() if name in _HASHES}
    if not digests:
        raise ContentDigestMalformed("It needs sha-256 or sha-512.")
    for name, value in digests.items():
        if not hmac.compare_digest(value, _HASHES[name](body).digest()):
            raise ContentDigestMismatch


def _members(presented: str) -> dict[str, bytes]:
    if len(presented) > _LONGEST:
        raise ContentDigestMalformed
    members: dict[str, bytes] = {}
    try:
        found: Any = http_sf.parse(presented.encode("ascii"), tltype="dictionary", on_duplicate_key=_refuse_twins)
    except ValueError as error:  # StructuredFieldError and UnicodeEncodeError are
        raise ContentDigestMalformed from error
    for name, (value, _) in found.items():
        if not isinstance(value, bytes):
            raise ContentDigestMalformed
        members[name] = value
    return members


def _refuse_twins(name: str, where: str) -> None:
    # RFC 9651 section 3.2 lets the last one win. Of two digests one reader believes the first, another the last.
    raise ContentDigestMalformed("It names an algorithm twice.")
