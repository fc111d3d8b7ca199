"""Session ids where none is ever read: the query string, the path, a header, the body.

No id is taken from there; this reports that one came, since it is now in logs, histories and referrers. It costs a
statement when there is something that looks like an id, and next to nothing otherwise.

Note [Bodies]
    A body is looked at while the view reads it: whoever reads ahead decides for the view about streaming, upload
    handlers and limits. One that nobody read is read after the view, if it is small.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_plus

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest

from securecore import clock, events
from securecore.conf import django_settings, settings
from securecore.sessions import Session, record_id

#: What our ids look like: 256 bits in base64url. In a URL anything of this form is looked up.
_ID = re.compile(r"(?<![\w-])[\w-]{43}(?![\w-])", re.ASCII)
#: A name that says what its value is, and the value: behind "=" or ":", or in a part of a multipart body (RFC 7578)
#: after the empty line. Header names are spelled with underscores. A first letter that stands outside of (?i:) is what
#: the engine skips to: three times as fast.
_NAMED = re.compile(
    r"[sS](?i:(?:(?<![a-z0-9]s)|(?<=^js)|(?<=[^a-z0-9]js)|(?<=^phps)|(?<=[^a-z0-9]phps))"
    r"(?:ession(?:[-_]?(?:id|key))?|essid|id)"
    r"""(?:["']?\s{0,8}+[=:]\s{0,8}+["']?|(?:[";][^\r\n]{0,100}+)?\r\n(?:[^\r\n]{1,100}+\r\n){0,4}\r\n)"""
    r"([\w-]{16,64})(?![\w-]))",
    re.ASCII,
)
#: At most so many of a request are looked up.
_CANDIDATES = 8

#: Bytes of a body that are held at a time. Each block begins with the end of the one before, so that nothing is cut.
_BLOCK = 65_536
_OVERLAP = 8_192
#: Characters. What ends in the last of a block may be cut, and is whole in the next; longer than any match.
_MARGIN = 1_024
#: Blocks that are searched, at 35 ms each at worst. To see that there is no such name in a block takes 0.2 ms, so
#: uploads cost little; only a body made of such names comes to this end.
_SEARCHED_BLOCKS = 8


def report_exposed_id(request: HttpRequest) -> None:
    """Emit ``SessionIdExposed`` for each place where a live session id came in, or something named like one; for the
    body when ``report_exposed_body`` is called.
    """
    for place, text in _places(request):
        named = _NAMED.findall(text)
        _report(request, place, named, _ID.findall(text) if place in ("query", "path") else ())
    if request.META.get("CONTENT_LENGTH") not in (None, "", "0") and hasattr(request, "_stream"):
        request._stream = request.watched_body = WatchedBody(request)  # type: ignore[attr-defined, assignment]


def report_exposed_body(request: Any) -> None:
    """Emit ``SessionIdExposed`` for a body that held one, after the view."""
    body: WatchedBody | None = getattr(request, "watched_body", None)
    if body is None:
        return
    if not request._read_started and int(request.META["CONTENT_LENGTH"]) <= _BLOCK:
        with suppress(OSError, SuspiciousOperation):  # the client is gone; a limit of the project
            _ = request.body  # kept by Django for whoever comes after us
    _report(request, "body", body.named_ids())


class WatchedBody:
    """The stream of a request's body, and the ids that went by in it. Reads nothing that its reader does not."""

    def __init__(self, request: Any) -> None:
        self._stream: Any = request._stream
        self._is_form = request.content_type == "application/x-www-form-urlencoded"
        self._pending = bytearray()  # bytes would be copied for each short line
        self._is_first = True
        self._searches_left = _SEARCHED_BLOCKS
        self._found: dict[str, None] = {}

    def read(self, *size: Any) -> Any:
        return self._seen(self._stream.read(*size))

    def readline(self, *size: Any) -> Any:
        return self._seen(self._stream.readline(*size))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # close() and, for Django 6.1, seekable()

    def named_ids(self) -> list[str]:
        """What was named like a session id so far, without doubles, at most as many as are looked up."""
        self._search(self._pending, margin=0)
        return list(self._found)

    def _seen(self, data: bytes) -> bytes:
        for start in range(0, len(data), _BLOCK):
            self._pending += data[start : start + _BLOCK]
            if len(self._pending) >= _BLOCK:
                self._search(self._pending, margin=_MARGIN)
                del self._pending[:-_OVERLAP]
                self._is_first = False
        return data

    def _search(self, block: bytearray, *, margin: int) -> None:
        lower = block.lower()
        # In a form letters can be escaped too, but nobody who leaks an id by mistake writes names so.
        if self._searches_left <= 0 or not (b"sess" in lower or b"sid" in lower):
            return
        self._searches_left -= 1
        text = block.decode("latin-1")
        text = unquote_plus(text) if self._is_form else text
        for match in _NAMED.finditer(text):
            is_whole = (self._is_first or match.start() > 8) and match.end() <= len(text) - margin
            if is_whole and len(self._found) < _CANDIDATES:
                self._found[match[1]] = None


def _report(request: HttpRequest, place: str, named: list[str], unnamed: Iterable[str] = ()) -> None:
    candidates = [*named, *unnamed]
    if not candidates:
        return
    rows = Session.objects.using(settings.DATABASE).live(clock.now())
    ids = [record_id(candidate) for candidate in candidates[:_CANDIDATES]]
    owners = list(rows.filter(pk__in=ids).values_list("user", flat=True))
    if owners or named:
        user = next((str(owner) for owner in owners if owner), None)
        events.emit(events.SessionIdExposed(place=place, path=request.path, user=user, live=bool(owners)))


def _places(request: HttpRequest) -> Iterator[tuple[str, str]]:
    if query := request.META.get("QUERY_STRING"):
        yield "query", unquote_plus(query)
    if len(request.path) > 16:
        yield "path", request.path
    name = django_settings.SESSION_COOKIE_NAME.upper().replace("-", "_")
    headers = [each for each in request.META if each.startswith("HTTP_") and ("SESS" in each or name in each)]
    if headers:
        yield "header", "\n".join(f"{each[5:]}: {request.META[each]}" for each in headers)
