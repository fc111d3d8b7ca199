"""A handler for urllib: ``build_opener(Handler("https://pay.example", TimestampNonce(), context=tls))``."""

from __future__ import annotations

import copy
import io
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit
from urllib.response import addinfourl

from securecore_client.exchange import Exchange, Retry, whole_body
from securecore_client.proofs import Outgoing, Proof


class Handler(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Add each of ``proofs`` to each request to ``service`` (scheme, host and port), and repeat it if that is safe.

    A request to another service, also after a redirect, is sent unchanged.

    ``authority`` is the service's own Host, if the client connects under another name. ``idempotency_keys`` adds a key
    to each unsafe request without a key: see ``Exchange``. ``options`` are those of ``HTTPSHandler`` (``context=``).
    """

    def __init__(
        self,
        service: str,
        *proofs: Proof,
        idempotency_keys: bool = False,
        retry: Retry | None = None,
        authority: str = "",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._exchange = Exchange(service, proofs, idempotency_keys, retry or Retry(), authority)

    def https_open(self, request: urllib.request.Request) -> Any:
        return self._open(request, super().https_open)

    def http_open(self, request: urllib.request.Request) -> Any:
        return self._open(request, super().http_open)

    def _open(self, request: urllib.request.Request, send: Any) -> Any:
        # urllib connects to this host, or asks a proxy for a tunnel to it. Another parser may read another host in the
        # same URL.
        host = getattr(request, "_tunnel_host", None) or request.host
        path = request.selector or "/"
        target = self._exchange.target(f"{request.type}://{host}{path}", path, _headers(request)["Host"])
        if target is None:
            return send(request)
        body = _read_body(request)

        def deliver(headers: Mapping[str, str]) -> _Response:
            # Add proofs to a copy: a redirect copies the caller's request and must not send proofs to another host.
            proven = copy.copy(request)
            proven.unredirected_hdrs = dict(request.unredirected_hdrs)
            for name, value in {"Host": urlsplit(target).netloc, **headers}.items():
                proven.add_unredirected_header(name, value)
            return _Response.of(send(proven))

        fields = {name.lower(): value for name, value in _headers(request).items()}
        outgoing = Outgoing(request.get_method(), target, fields, body)
        return self._exchange.run(outgoing, deliver, failures=(OSError, HTTPException)).raw


def _headers(request: urllib.request.Request) -> dict[str, str]:
    """Return the headers that urllib sends. Of two values, urllib takes the one that redirects do not copy."""
    return {**request.headers, **request.unredirected_hdrs}


def _read_body(request: urllib.request.Request) -> bytes:
    """Read the body of ``request`` into memory, and state its length."""
    body = whole_body(request.data)
    if not isinstance(request.data, bytes | None):
        request.remove_header("Transfer-encoding")
        request.data = body
        request.add_unredirected_header("Content-length", str(len(body)))
    return body


@dataclass
class _Response:
    """A response of urllib, with the attributes that ``Exchange`` reads."""

    raw: HTTPResponse | addinfourl
    status_code: int
    headers: Any  # an HTTPMessage, the get() of which ignores case
    text: str

    @classmethod
    def of(cls, raw: HTTPResponse) -> _Response:
        """Read the body of a 400, which may demand a nonce, and give the caller the body again."""
        if raw.status != 400:
            return cls(raw, raw.status, raw.headers, "")
        content = raw.read()
        again = addinfourl(io.BytesIO(content), raw.headers, raw.url, raw.status)
        again.msg = raw.msg  # type: ignore[attr-defined]  # urllib reads it to raise HTTPError
        return cls(again, raw.status, raw.headers, content.decode(errors="replace"))

    def close(self) -> None:
        self.raw.close()
