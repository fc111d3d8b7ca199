"""Thumbprints on a command line, as they are printed and pasted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser

_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")


def is_thumbprint(text: str) -> bool:
    """Whether ``text`` has the shape of a SHA-256 in base64url (RFC 8705 section 3.1, RFC 7638)."""
    return _THUMBPRINT.fullmatch(text) is not None


class ThumbprintParser(CommandParser):
    """The ``parser_class`` of an action that takes thumbprints: one in 64 begins with a ``-``, and argparse would take
    it for an option. No option of Django's or ours is written in 43 such characters.
    """

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        # What begins with a space is no option to argparse; `thumbprint` takes it away again.
        shielded = [f" {each}" if each.startswith("-") and is_thumbprint(each) else each for each in args or ()]
        return super().parse_known_args(shielded, namespace)


#: The ``type`` of an argument that may be a thumbprint, in an action parsed by ThumbprintParser.
thumbprint = str.strip
