"""Removes tokens, cookies, passwords and keys from reports."""

from __future__ import annotations

import re

_PATTERNS = (
    re.compile(r"eyJ[\w-]{4,}\.[\w-]+\.[\w-]*"),  # any JWT, also one that the scanner did not request
    re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL),
)
#: A shorter value may be an ordinary word, and redacting it would make the report unreadable.
_SHORTEST = 6


class Redactor:
    """Knows each secret value and its kind, such as "access token", and replaces the values in a report."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}

    def add(self, value: str, kind: str) -> str:
        """Remember ``value`` as a secret of this kind, and return the value."""
        if len(value) >= _SHORTEST:
            self._kinds[value] = kind
        return value

    def redact(self, text: str) -> str:
        """Return ``text`` with every secret replaced by its kind, such as ``<access token>``."""
        # The longest secret first: a token may contain a shorter secret.
        for value in sorted(self._kinds, key=len, reverse=True):
            text = text.replace(value, f"<{self._kinds[value]}>")
        for pattern in _PATTERNS:
            text = pattern.sub("<secret>", text)
        return text
