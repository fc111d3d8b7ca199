"""The target URI of a request, as the client sent it."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

from django.core.handlers.asgi import ASGIRequest

from securecore.http.request import AnyRequest, django_request

#: The characters of RFC 3986 section 3.3 that quote() must keep, in addition to those that it always keeps.
PATH_CHARACTERS = "/!$&'()*+,;=:@"
_PATH = re.compile(r"(?:[\w.~/!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+", re.ASCII)
#: The variables in which servers keep the undecoded request target: gunicorn the first, uWSGI and mod_wsgi the second.
#: No header can set them, because a header's variable begins with HTTP_.
_RAW_TARGETS = ("RAW_URI", "REQUEST_URI")


def _raw_target(request: AnyRequest) -> str:
    """Return the request target as the server received it, or an empty string if the server does not provide it.

    An ASGI server provides the undecoded path without the query. So a "?" with an empty query behind it is lost:
    ``/transfers?`` and ``/transfers`` have the same target URI there.
    """
    of_django = django_request(request)
    if isinstance(of_django, ASGIRequest):
        # decode() never fails for latin-1; the caller checks the characters.
        return bytes(of_django.scope.get("raw_path") or b"").decode("latin-1")
    return next((str(request.META[name]) for name in _RAW_TARGETS if name in request.META), "")


def target_uri(request: AnyRequest) -> str:
    """Return the target URI of ``request`` with its query (RFC 9110 section 7.1).

    The path is byte for byte the one that the client sent, if the server provides the undecoded target. The query is
    never decoded. ``build_absolute_uri()`` is not used: for the path ``//other/x`` it returns another host.
    """
    path, mark, _ = _raw_target(request).partition("?")
    # The routed path must be the signed path. A server may rewrite the path and leave the undecoded target unchanged;
    # then use the routed path.
    if not _PATH.fullmatch(path) or unquote_to_bytes(path) != request.path.encode():
        path, mark = quote(request.path, safe=PATH_CHARACTERS), ""
    query = request.META.get("QUERY_STRING", "")
    return f"{request.scheme}://{request.get_host().lower()}{path}{'?' if query else mark}{query}"
