"""Text from outside: whether a database can store it, its form for a terminal and a log, and the names near to it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from securecore.errors import Misuse, TextRefused

#: NUL, and halves of surrogate pairs. PostgreSQL raises an error for both, in a column and in a parameter of a query.
#: So any client could cause a 500.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def is_storable(text: str) -> bool:
    """Say whether PostgreSQL can store ``text``: it has no NUL and no lone surrogate."""
    return text.isprintable() or _UNSTORABLE.search(text) is None


def storable(text: str, *, longest: int) -> str:
    """Return ``text`` if a column of ``longest`` characters can hold it. Raises ``TextRefused`` (400), and ``Misuse``
    for a value that is no text.
    """
    if not isinstance(text, str):
        raise Misuse(f"{quoted(text)} is no text: pass str(...) of it.")
    if len(text) > longest or not is_storable(text):
        raise TextRefused
    return text


def shown(text: str) -> str:
    """Return ``text`` for one line of a terminal, with an escape for each character that is not printable.

    A certificate's subject may hold ``ESC [2J``, which clears the screen, a line break, which forges a line, or a bidi
    override, which shows a name backwards. ``str.isprintable()`` is false for all of these characters, and for a tab.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


#: The most characters of a value in an error message, and those of a text or a ``repr()`` that is longer.
_LONGEST_QUOTED, _BEGINNING = 60, 16


def quoted(value: Any) -> str:
    """Return the type and the beginning of ``value`` for an error message, in at most 60 characters.

    A program may pass the text of a PEM file with a private key in place of a thumbprint, and an error message gets
    into logs. So PEM, bytes and the rest of a long text are left out. The first 16 characters of a private key in
    base64 are the same for every key of its algorithm.
    """
    if value is None:
        return "None"
    kind = type(value).__name__[:20]
    if isinstance(value, (bytes, bytearray)):
        return f"{kind} of {len(value)} bytes"
    try:
        text = repr(value)
    except Exception:  # of the value's own class, or of a very long int
        return f"{kind} without a repr()"
    if "-----" in text:
        return f"{kind} with PEM"
    whole = f"{kind} {text}"
    return whole if len(whole) <= _LONGEST_QUOTED else f"{kind} {text[:_BEGINNING]}... ({len(text)} long)"


def quoted_argument(text: str) -> str:
    """Return the beginning of an argument of a command for its error message: ``quoted`` without the type."""
    return quoted(text).removeprefix("str ")


def counted(count: int, one: str, many: str = "") -> str:
    """Return ``count`` with its noun, and the verb behind it: ``1 session was ended``, ``0 sessions were ended``.

    ``many`` is ``one`` with an ``s`` if not given.
    """
    return f"{count} {one if count == 1 else many or one + 's'}"


#: A run of 16 or more characters that occur in tokens, session ids, nonces and keys.
_RUN = re.compile(r"[A-Za-z0-9_%+~=.-]{16,}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
#: A word of an address or of a Python name: ``oauth``, ``Signature``, ``SignatureError``. A run of words with hyphens
#: or dots between the words counts as no secret, if it has at most ``_LONGEST_WORDS`` characters.
_WORD = re.compile(r"[A-Z]?[a-z]*(?:[A-Z][a-z]+)*")
_LONGEST_WORDS = 40
#: The longest text in an event, in characters. A path of 8 KiB in every line would fill a disk.
_LONGEST = 256


def without_secrets(text: str) -> str:
    """Return ``text`` for an event or a log, with a ``-`` for each run of characters that may be a secret.

    A session id or a token in a path (``/page;jsessionid=...``) would be in the log of each refusal. A run may contain
    percent-encodings, and encodings of these. A UUID stays, and so do words
    (``/.well-known/oauth-authorization-server``).
    """
    text = _RUN.sub(_replaced, text[: 16 * _LONGEST])
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _replaced(run: re.Match[str]) -> str:
    return run[0] if _UUID.fullmatch(run[0]) or _is_words(run[0]) else "-"


def _is_words(run: str) -> bool:
    return len(run) <= _LONGEST_WORDS and all(_WORD.fullmatch(word) for word in re.split("[._-]", run))


def near(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean NAME?`` with the known names near to ``name``, or an empty string."""
    found = difflib.get_close_matches(name, list(known), n=3, cutoff=0.75)
    return f" Did you mean {' or '.join(found)}?" if found else ""
