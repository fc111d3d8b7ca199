"""Parse thumbprints and other random text on a command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser

from securecore.thumbprints import thumbprint_in


class ThumbprintParser(CommandParser):
    """The ``parser_class`` of an action with thumbprint arguments or a ``--jti``.

    One base64url text in 64 begins with a ``-``, and argparse would read it as an option. No option of Django or
    securecore has the 43 characters of a thumbprint. A ``jti`` has any length, so the argument behind ``--jti`` is
    always its value.
    """

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        # argparse reads no argument with a leading space as an option; `thumbprint` strips the space.
        shielded = [f" {text}" if text.startswith("-") and thumbprint_in(text) else text for text in args or ()]
        if "--jti" in shielded[:-1]:
            option = shielded.index("--jti")
            shielded[option : option + 2] = [f"--jti={shielded[option + 1]}"]
        return super().parse_known_args(shielded, namespace)


#: The ``type`` of an argument that may be a thumbprint, in an action parsed by ThumbprintParser.
thumbprint = str.strip

_WRITE = "Write a file, or the SHA-256 that openssl x509 -noout -fingerprint -sha256 prints."
#: Other numbers of a certificate that people copy, and the sentence about each.
_OTHER_NUMBERS = (
    (
        r"(?:sha-?1 fingerprint=)?[0-9a-f]{2}(?:[: ]?[0-9a-f]{2}){19}",
        "is a SHA-1 or a serial number, and no certificate here has this serial number",
    ),
    (r"[0-9a-f]{64} [ *].+", "is a line of sha256sum, which has a thumbprint only of a DER file, in its first field"),
    (r"(?:serial=)?(?:0x)?[0-9a-f]{2}(?:[: ]?[0-9a-f]{1,2})*", "is a serial number, which no certificate here has"),
)


def why_no_thumbprint(text: str) -> str:
    """Return the reason why ``text``, which names no file, is no thumbprint; "" if it may have been meant as a file."""
    for pattern, reason in _OTHER_NUMBERS:
        if re.fullmatch(pattern, text, re.IGNORECASE):
            return f"{text} {reason}. {_WRITE}"
    return ""
