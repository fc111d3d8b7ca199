"""Build the ``Content-Digest`` field of a body (RFC 9530 section 2). The server checks it in ``securecore.replay``."""

from __future__ import annotations

import hashlib

import http_sf

#: The two active algorithms of the IANA registry (section 5). The other algorithms are broken or no digests.
HASHES = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}


def content_digest(body: bytes, algorithm: str = "sha-256") -> str:
    """Return the value of ``Content-Digest`` for ``body``, as it is sent (section 2).

    ``algorithm`` is ``sha-256`` or ``sha-512``.
    """
    return http_sf.ser({algorithm: HASHES[algorithm](body).digest()})
