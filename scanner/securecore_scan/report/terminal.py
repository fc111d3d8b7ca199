"""Escapes characters that would let the service under test control the terminal of the reader."""

from __future__ import annotations

import unicodedata

#: Control characters (C0, C1, DEL), format characters (bidirectional overrides, zero width), line and paragraph
#: separators, and lone surrogates. Example: ESC [ 2 A in a problem's code would overwrite a FAIL above it with a PASS.
_UNSAFE = {"Cc", "Cf", "Zl", "Zp", "Cs"}


def escape_controls(text: str) -> str:
    r"""Return one line of text in which each unsafe character is written as an escape, such as ``\x1b``."""
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if unicodedata.category(character) in _UNSAFE:
        return character.encode("unicode_escape").decode("ascii")
    return character
