"""What was seen and must never be told."""

from __future__ import annotations

import re
from typing import Any

_PATTERNS = (
    re.compile(r"eyJ[\w-]{4,}\.[\w-]+\.[\w-]*"),  # a JWT, also one that nobody named
    re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL),
)
#: Shorter ones are words; hiding them would eat the report.
_SHORTEST = 6


class Secrets:
    """Values that came over the wire or from the plan, each with what it is. A report is hidden as a whole."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}

    def add(self, value: str, kind: str) -> str:
        """Remember ``value`` as a ``kind``, and return it."""
        if len(value) >= _SHORTEST:
            self._kinds[value] = kind
        return value

    def hide(self, text: str) -> str:
        """Return ``text`` with every secret replaced by what it is."""
        # The longest first: a token may contain another secret.
        for value in sorted(self._kinds, key=len, reverse=True):
            text = text.replace(value, f"<{self._kinds[value]}>")
        for pattern in _PATTERNS:
            text = pattern.sub("<secret>", text)
        return text

    def hide_all(self, document: Any) -> Any:
        """Return a copy of a JSON-like ``document`` with every string hidden."""
        if isinstance(document, str):
            return self.hide(document)
        if isinstance(document, dict):
            return {key: self.hide_all(value) for key, value in document.items()}
        if isinstance(document, list | tuple):
            return [self.hide_all(value) for value in document]
        return document
