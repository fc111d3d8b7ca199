"""Report session ids in the query string, the path, a header or the body, where securecore never accepts an id.

An id in such a place is now in logs, histories and referrers, so securecore emits an event. The check costs one SQL
statement if a text looks like an id, and almost nothing otherwise.

Note [Bodies]
    The body is searched while the view reads it. Reading the body before the view would take the view's choice of
    streaming, upload handlers and limits away. If the view did not read the body, a small body is read after the view.
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
from securecore.http.request import SecureRequest, state_of
from securecore.sessions import Session, record_id

#: The form of a session id: 256 bits in base64url. In a URL each text of this form is looked up.
_ID = re.compile(r"(?<![\w-])[\w-]{43}(?![\w-])", re.ASCII)
#: A name such as "sessionid" and its value. The value follows "=" or ":", or the empty line in a part of a multipart
#: body (RFC 7578). Header names are spelled with underscores. The first letter is outside of (?i:), so that the regular
#: expression engine can skip to it: three times as fast.
_NAMED = re.compile(
    r"[sS](?i:(?:(?<![a-z0-9]s)|(?<=^js)|(?<=[^a-z0-9]js)|(?<=^phps)|(?<=[^a-z0-9]phps))"
    r"(?:ession(?:[-_]?(?:id|key))?|essid|id)"
    r"""(?:["']?\s{0,8}+[=:]\s{0,8}+["']?|(?:[";][^\r\n]{0,100}+)?\r\n(?:[^\r\n]{1,100}+\r\n){0,4}\r\n)"""
    r"([\w-]{16,64})(?![\w-]))",
    re.ASCII,
)
#: The number of candidates that are looked up for one request.
_CANDIDATES = 8

#: The bytes of a body that are kept in memory at a time. Each block begins with the last ``_OVERLAP`` bytes of the
#: previous block, so that no id is cut between two blocks.
_BLOCK = 65_536
_OVERLAP = 8_192
#: In characters, more than any match. A match that ends in this last part of a block may be cut; the next block
#: contains the whole match.
_MARGIN = 1_024
#: The number of blocks that are searched. A search takes up to 35 ms. A block without such a name is recognized in
#: 0.2 ms, so uploads cost little. Only a body that consists of such names reaches this limit.
_SEARCHED_BLOCKS = 8


def report_exposed_id(request: SecureRequest) -> None:
    """Emit ``SessionIdExposed`` for each place of the request with a live session id, or with a value named like one.

    ``report_exposed_body`` does the same for the body.
    """
    for place, text in _places(request):
        named = _NAMED.findall(text)
        _report(request, place, named, _ID.findall(text) if place in ("query", "path") else ())
    if request.META.get("CONTENT_LENGTH") not in (None, "", "0") and hasattr(request, "_stream"):
        watched = state_of(request).watched_body = WatchedBody(request)
        request._stream = watched  # type: ignore[assignment]


def report_exposed_body(request: SecureRequest, body: WatchedBody) -> None:
    """Emit ``SessionIdExposed`` after the view if the body held a value named like a session id."""
    is_unread = not request._read_started  # type: ignore[attr-defined]
    if is_unread and int(request.META["CONTENT_LENGTH"]) <= _BLOCK:
        with suppress(OSError, SuspiciousOperation):  # the client disconnected, or the body exceeds a limit
            _ = request.body  # Django keeps the body for later code
    _report(request, "body", body.named_ids())


class WatchedBody:
    """The stream of a request's body. It records named session ids while the view reads, and reads nothing itself."""

    def __init__(self, request: HttpRequest) -> None:
        self._stream: Any = request._stream
        self._is_form = request.content_type == "application/x-www-form-urlencoded"
        self._pending = bytearray()  # an immutable bytes object would be copied for each short line
        self._is_first = True
        self._searches_left = _SEARCHED_BLOCKS
        self._found: dict[str, None] = {}

    def read(self, *size: int | None) -> bytes:
        return self._watch(self._stream.read(*size))

    def readline(self, *size: int | None) -> bytes:
        return self._watch(self._stream.readline(*size))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # close() and, for Django 6.1, seekable()

    def named_ids(self) -> list[str]:
        """Return the values named like a session id so far, without duplicates, at most ``_CANDIDATES``."""
        self._search(self._pending, margin=0)
        return list(self._found)

    def _watch(self, data: bytes) -> bytes:
        """Search ``data`` for session ids and return it unchanged."""
        for start in range(0, len(data), _BLOCK):
            self._pending += data[start : start + _BLOCK]
            if len(self._pending) >= _BLOCK:
                self._search(self._pending, margin=_MARGIN)
                del self._pending[:-_OVERLAP]
                self._is_first = False
        return data

    def _search(self, block: bytearray, *, margin: int) -> None:
        lower = block.lower()
        # A form may escape letters of the name too, but a program that leaks an id by mistake does not do so.
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
    headers = [key for key in request.META if key.startswith("HTTP_") and ("SESS" in key or name in key)]
    if headers:
        yield "header", "\n".join(f"{key[5:]}: {request.META[key]}" for key in headers)
