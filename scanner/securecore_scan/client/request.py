"""A request with all values filled in, so that the same bytes can be sent again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from securecore_scan.plan import Call
from securecore_scan.templates import fill


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes = b""

    def with_headers(self, headers: Mapping[str, str]) -> Request:
        """Return this request with ``headers`` added after its own."""
        return replace(self, headers=(*self.headers, *headers.items()))

    def with_query(self, query: str) -> Request:
        """Return this request with ``query`` added to the URL."""
        return replace(self, path=add_query(self.path, query))


def build(call: Call, values: Mapping[str, str]) -> Request:
    """Return the request of ``call`` with its placeholders filled by ``values``."""
    headers = {str(name): str(value) for name, value in fill(call.headers, values).items()}
    content = b""
    if call.json is not None:
        headers.setdefault("Content-Type", "application/json")
        content = json.dumps(fill(call.json, values)).encode()
    elif call.form is not None:
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        content = urlencode(fill(call.form, values)).encode()
    quoted = {name: quote(value, safe="") for name, value in values.items()}
    return Request(call.method, fill(call.path, quoted), tuple(headers.items()), content)


def add_query(path: str, query: str) -> str:
    """Return ``path`` with ``query`` behind it; an empty query adds nothing."""
    return f"{path}{'&' if '?' in path else '?'}{query}" if query else path
