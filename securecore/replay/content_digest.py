"""Check the ``Content-Digest`` field of a body (RFC 9530). ``securecore_client.wire`` builds the field."""

from __future__ import annotations

import hmac
from typing import Any

import http_sf

from securecore.errors import ContentDigestMalformed, ContentDigestMismatch
from securecore_client.wire.content_digest import HASHES

#: The longest field, in characters. A field with both digests has 152.
_LONGEST = 1024


def check_content_digest(presented: str, body: bytes) -> None:
    """Compare a presented ``Content-Digest`` with the received body.

    Raises ``ContentDigestMalformed`` if the field is no dictionary of byte sequences, or has neither sha-256 nor
    sha-512. Raises ``ContentDigestMismatch`` if a digest is that of another body. Other algorithms are ignored
    (section 2).
    """
    digests = {name: value for name, value in _members(presented).items() if name in HASHES}
    if not digests:
        raise ContentDigestMalformed("Content-Digest needs sha-256 or sha-512.")
    for name, value in digests.items():
        if not hmac.compare_digest(value, HASHES[name](body).digest()):
            raise ContentDigestMismatch


def _members(presented: str) -> dict[str, bytes]:
    if len(presented) > _LONGEST:
        raise ContentDigestMalformed
    members: dict[str, bytes] = {}
    try:
        parsed: Any = http_sf.parse(presented.encode("ascii"), tltype="dictionary", on_duplicate_key=_refuse_twins)
    except ValueError as error:  # the base class of StructuredFieldError and UnicodeEncodeError
        raise ContentDigestMalformed from error
    for name, (value, _) in parsed.items():
        if not isinstance(value, bytes):
            raise ContentDigestMalformed
        members[name] = value
    return members


def _refuse_twins(name: str, where: str) -> None:
    # By RFC 9651 section 3.2 the last of two members with one name wins, but some readers use the first. Two readers of
    # one field would compare different digests.
    raise ContentDigestMalformed("Content-Digest names an algorithm twice.")
