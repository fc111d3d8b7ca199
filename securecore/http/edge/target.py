"""The URL that was asked for, as it was on the wire."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote_to_bytes

#: RFC 3986 section 3.3, besides what quote() keeps anyway.
PATH_CHARACTERS = "/!$&'()*+,;=:@"
_PATH = re.compile(r"(?:[\w.~/!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+", re.ASCII)
#: Where servers keep the request target before they decode it: gunicorn, and uWSGI and mod_wsgi. Never from a header,
#: whose names begin with HTTP_.
_RAW_TARGETS = ("RAW_URI", "REQUEST_URI")


def target_uri(request: Any) -> str:
    """Return the target URI of ``request`` with its query (RFC 9110 section 7.1), its path byte for byte where the
    server tells what was on the wire; a query is never decoded.

    Not ``build_absolute_uri()``: for the path ``//other/x`` it gives another host.
    """
    raw = next((request.META[name] for name in _RAW_TARGETS if name in request.META), "")
    path, mark, _ = raw.partition("?")
    # What is routed must be what is signed, also behind a server that rewrites the one and not the other.
    if not _PATH.fullmatch(path) or unquote_to_bytes(path) != request.path.encode():
        path, mark = quote(request.path, safe=PATH_CHARACTERS), ""
    query = request.META.get("QUERY_STRING", "")
    return f"{request.scheme}://{request.get_host().lower()}{path}{'?' if query else mark}{query}"
