"""Parse thumbprints on a command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser

_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")


def is_thumbprint(text: str) -> bool:
    """Say whether ``text`` has the form of a SHA-256 in base64url (RFC 8705 section 3.1, RFC 7638)."""
    return _THUMBPRINT.fullmatch(text) is not None


class ThumbprintParser(CommandParser):
    """The ``parser_class`` of an action with thumbprint arguments.

    One thumbprint in 64 begins with a ``-``, and argparse would read it as an option. No option of Django or securecore
    has 43 such characters.
    """

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        # argparse reads no argument with a leading space as an option; `thumbprint` strips the space.
        shielded = [f" {text}" if text.startswith("-") and is_thumbprint(text) else text for text in args or ()]
        return super().parse_known_args(shielded, namespace)


#: The ``type`` of an argument that may be a thumbprint, in an action parsed by ThumbprintParser.
thumbprint = str.strip
