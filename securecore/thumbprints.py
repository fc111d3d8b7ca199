"""The spellings of a certificate's SHA-256: of RFC 8705, and of the tools that print it."""

from __future__ import annotations

import re
from typing import Any

from securecore.errors import Misuse
from securecore.texts import quoted
from securecore_client.wire.thumbprints import base64url

#: SHA-256 in base64 or base64url, with or without padding (RFC 8705 section 3.1; ``openssl dgst -binary | base64``).
_BASE64 = re.compile(r"([A-Za-z0-9_+/-]{43})=?")
#: SHA-256 in hexadecimal, as ``sha256sum`` and browsers print it, or as ``openssl x509 -fingerprint -sha256`` does:
#: ``sha256 Fingerprint=5B:0E:...``.
_HEXADECIMAL = re.compile(r"(?:sha-?256 fingerprint=)?([0-9a-f]{2}(?:[: ]?[0-9a-f]{2}){31})", re.IGNORECASE)


def thumbprint_in(text: str) -> str | None:
    """Return the thumbprint in base64url that ``text`` spells, or None for another text."""
    stripped = text.strip()
    if match := _BASE64.fullmatch(stripped):
        return match[1].replace("+", "-").replace("/", "_")
    if match := _HEXADECIMAL.fullmatch(stripped):
        return base64url(bytes.fromhex(match[1].replace(":", "")))
    return None


def serial_in(text: str) -> str | None:
    """Return the serial number of a certificate in the form of its row, or None.

    openssl prints ``serial=4D2F``, browsers ``4d:2f``, nginx upper case with a leading zero.
    """
    digits = re.sub(r"[:\s]", "", text.lower()).removeprefix("serial=").removeprefix("0x").lstrip("0")
    return digits if re.fullmatch(r"[0-9a-f]{1,64}", digits) else None


def require_thumbprint(presented: Any) -> str:
    """Return the thumbprint in base64url. Raises ``Misuse`` for a value that spells none.

    Without the check, a revocation of the serial number or of a SHA-1 would succeed, and would revoke nothing.
    """
    thumbprint = thumbprint_in(presented) if isinstance(presented, str) else None
    if thumbprint is None:
        raise Misuse(
            f"{quoted(presented)} is no thumbprint: pass certificate.thumbprint, with certificate = "
            'parse_file(Path("alice.pem").read_bytes()), or the SHA-256 that openssl x509 -fingerprint -sha256 prints.'
        )
    return thumbprint
