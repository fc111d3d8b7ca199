"""Normalize the URL of a request, so that two spellings compare equal (RFC 3986 section 6.2)."""

from __future__ import annotations

import re

#: The generic syntax of an HTTP URL, without userinfo and without characters that a lenient parser would skip (blanks,
#: controls, backslashes, letters beyond ASCII). No two adjacent parts match the same character, so matching is linear.
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{0,5}))?"
    r"(?P<path>/[a-z0-9._~!$&'()*+,;=:@/%-]*)?"
    r"(?:[?#][!-~]*)?",
    re.ASCII | re.IGNORECASE,
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def normalized(url: str) -> str | None:
    """Return ``url`` without query and fragment, normalized by syntax and by scheme, or None if it is no HTTP URL.

    The normalization covers the case of scheme, host and percent-encodings, percent-encoded unreserved characters and
    dot segments (section 6.2.2), default and empty port, and the empty path (section 6.2.3). ``/a`` and ``/a/`` stay
    different, as do ``/a//b`` and ``/a/b``, and a reserved character and its percent-encoding.
    """
    parts = _URL.fullmatch(url)
    if parts is None or _BROKEN_ESCAPE.search(parts["path"] or ""):
        return None
    scheme, port = parts["scheme"].lower(), parts["port"]
    explicit_port = f":{port}" if port and port != _DEFAULT_PORTS[scheme] else ""
    return f"{scheme}://{parts['host'].lower()}{explicit_port}{_normalized_path(parts['path'] or '/')}"


def _normalized_path(path: str) -> str:
    kept: list[str] = []
    # Percent-encodings are decoded before the dot segments, because %2E%2E is a dot segment too.
    segments = _ESCAPE.sub(_normalized_escape, path).split("/")[1:]
    for segment in segments:
        if segment not in (".", ".."):
            kept.append(segment)
        elif segment == ".." and kept:
            kept.pop()
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _normalized_escape(escape: re.Match[str]) -> str:
    character = chr(int(escape[0][1:], 16))
    return character if character in _UNRESERVED else escape[0].upper()
