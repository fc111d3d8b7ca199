"""Text that came from outside: whether a database can store it, and how a terminal or a log shows it."""

from __future__ import annotations

import re

from securecore.errors import TextRefused

#: NUL, and halves of surrogate pairs. PostgreSQL raises an error for both, in a column and in a parameter of a query:
#: a 500 that anybody could cause.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def is_storable(text: str) -> bool:
    """Say whether PostgreSQL takes ``text``: a text without NUL and without lone surrogates."""
    return text.isprintable() or _UNSTORABLE.search(text) is None


def storable(text: str, *, longest: int) -> str:
    """Return ``text`` if a column of ``longest`` characters can hold it. Raises ``TextRefused`` (400)."""
    if len(text) > longest or not is_storable(text):
        raise TextRefused
    return text
