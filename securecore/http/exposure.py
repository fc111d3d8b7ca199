"""Session ids where none is ever read: the query string, the path, a header, the body.

No id is taken from there; this reports that one came, since it is now in logs, histories and referrers. It costs a
statement when there is something that looks like an id, and nothing otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_plus

from django.http import HttpRequest

from securecore import clock, events
from securecore.conf import django_settings, settings
from securecore.sessions import Session, record_id

#: What our ids look like: 256 bits in base64url. In a URL anything of this form is looked up.
_ID = re.compile(r"(?<![\w-])[\w-]{43}(?![\w-])", re.ASCII)
#: A name that says what its value is, and the value. The header names of a request are spelled with underscores.
_NAMED = re.compile(
    r"(?<![A-Za-z0-9])(?:__host[-_])?(?:x[-_])?(?:j|php)?(?:session(?:[-_]?(?:id|key))?|sessid|sid)"
    r"""["']?\s*[=:]\s*["']?([\w-]{16,64})(?![\w-])""",
    re.ASCII | re.IGNORECASE,
)
#: Larger bodies are uploads, which are not ours to keep in memory.
_BODY_BYTES = 4_096
_BODY_TYPES = ("application/x-www-form-urlencoded", "application/json")
#: At most so many of a request are looked up.
_CANDIDATES = 8


def report_exposed_id(request: HttpRequest) -> None:
    """Emit ``SessionIdExposed`` for each place where a live session id came in, or something named like one."""
    for place, text in _places(request):
        named = _NAMED.findall(text)
        candidates = named + (_ID.findall(text) if place in ("query", "path") else [])
        if not candidates:
            continue
        rows = Session.objects.using(settings.DATABASE).live(clock.now())
        ids = [record_id(candidate) for candidate in candidates[:_CANDIDATES]]
        owners = list(rows.filter(pk__in=ids).values_list("user", flat=True))
        if owners or named:
            user = next((str(owner) for owner in owners if owner), None)
            path = _NAMED.sub("-", _ID.sub("-", request.path))
            events.emit(events.SessionIdExposed(place=place, path=path, user=user, live=bool(owners)))


def _places(request: HttpRequest) -> Iterator[tuple[str, str]]:
    if query := request.META.get("QUERY_STRING"):
        yield "query", unquote_plus(query)
    if len(request.path) > 16:
        yield "path", request.path
    name = django_settings.SESSION_COOKIE_NAME.upper().replace("-", "_")
    headers = [each for each in request.META if each.startswith("HTTP_") and ("SESS" in each or name in each)]
    if headers:
        yield "header", "\n".join(f"{each[5:]}: {request.META[each]}" for each in headers)
    if body := _small_body(request):
        yield "body", body


def _small_body(request: HttpRequest) -> str:
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or not 0 < int(length) <= _BODY_BYTES or request.content_type not in _BODY_TYPES:
        return ""
    body = request.body.decode("utf-8", "replace")
    return unquote_plus(body) if request.content_type == _BODY_TYPES[0] else body
