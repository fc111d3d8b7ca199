"""The Idempotency-Key header and the fingerprint of the request it stands for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from securecore.errors import IdempotencyKeyMalformed, IdempotencyKeyMissing

#: The IETF draft's structured-field String, and the bare token that most clients send. A comma in a bare one means that
#: two headers were joined.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\]){1,255})"')
_BARE = re.compile(r"[!#-+\--~]{1,255}")


def parse_key(presented: str | None) -> str:
    """Return the key in a presented ``Idempotency-Key``; the quoted and the bare spelling are one key.

    Raises ``IdempotencyKeyMissing``, ``IdempotencyKeyMalformed`` (draft-ietf-httpapi-idempotency-key-header section
    2.1).
    """
    if not presented:
        raise IdempotencyKeyMissing
    if quoted := _QUOTED.fullmatch(presented):
        return re.sub(r"\\(.)", r"\1", quoted[1])
    if _BARE.fullmatch(presented):
        return presented
    raise IdempotencyKeyMalformed


def fingerprint_of(
    *, method: str, path: str, query: Iterable[tuple[str, str]], content_type: str, body: bytes
) -> bytes:
    """Return SHA-256 of everything that makes two requests the same request; the order of the query does not."""
    hashed = hashlib.sha256()
    pairs = [part for pair in sorted(query) for part in pair]
    for part in (method, path, content_type, str(len(pairs)), *pairs):
        encoded = part.encode("utf-8", "surrogatepass")
        hashed.update(len(encoded).to_bytes(8, "big") + encoded)
    hashed.update(body)
    return hashed.digest()
