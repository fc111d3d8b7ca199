"""Parse the Idempotency-Key header, and compute the fingerprint of a request."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from securecore.errors import IdempotencyKeyMalformed, IdempotencyKeyMissing

#: The IETF draft's structured-field String (RFC 9651 section 4.2.5). The header is an Item, so parameters may follow.
#: The draft defines none, and unknown parameters are ignored (section 3.1.2).
_STRING = r'"((?:[ !#-\[\]-~]|\\["\\])*)"'
_BARE_ITEM = (
    rf"(?:{_STRING.replace('((?:', '(?:(?:')}|-?\d{{1,15}}|-?\d{{1,12}}\.\d{{1,3}}|[A-Za-z*][!#$%&'*+\-.^_`|~\w:/]*"
    r"|:[A-Za-z0-9+/=]*:|\?[01]|@-?\d{1,15})"
)
_PARAMETERS = rf"(?:; *[a-z*][a-z0-9_\-.*]*(?:={_BARE_ITEM})?)*"
_ITEM = re.compile(rf" *{_STRING}{_PARAMETERS} *", re.ASCII)
#: The form that most clients send: a UUID or another token without quotes. There is no comma, by which servers join two
#: headers. The first character begins no other kind of structured field, except a number; a number is a key too.
_BARE = re.compile(r"[A-Za-z0-9_-][!#$%&'*+\-.^_`|~:/=@A-Za-z0-9]*")

_LONGEST = 255


def parse_key(presented: str | None) -> str:
    """Return the key in a presented ``Idempotency-Key``. ``"a"`` with quotes and ``a`` without are the same key.

    Raises ``IdempotencyKeyMissing``, ``IdempotencyKeyMalformed`` (draft-ietf-httpapi-idempotency-key-header section
    2.1).
    """
    if not presented:
        raise IdempotencyKeyMissing
    if quoted := _ITEM.fullmatch(presented):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    elif _BARE.fullmatch(presented):
        key = presented
    else:
        raise IdempotencyKeyMalformed
    if not 1 <= len(key) <= _LONGEST:
        raise IdempotencyKeyMalformed
    return key


def fingerprint_of(parts: Iterable[str | bytes]) -> bytes:
    """Return the SHA-256 of a request's parts, each with its length before it, so that parts cannot run together."""
    hashed = hashlib.sha256()
    for part in parts:
        encoded = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        hashed.update(len(encoded).to_bytes(8, "big"))
        hashed.update(encoded)
    return hashed.digest()
