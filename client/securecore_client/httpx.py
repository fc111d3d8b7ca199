"""A transport for httpx: ``httpx.Client(transport=Transport("https://pay.example", TimestampNonce(), verify=tls))``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from securecore_client.exchange import Exchange, Retry
from securecore_client.proofs import Outgoing, Proof


class Transport(httpx.BaseTransport):
    """Add each of ``proofs`` to each request to ``service`` (scheme, host and port), and repeat it if that is safe.

    A request to another service, also after a redirect, is sent unchanged.

    ``authority`` is the service's own Host, if the client connects under another name. ``idempotency_keys`` adds a key
    to each unsafe request without a key: see ``Exchange``. ``transport`` sends the requests; if it is None, the
    transport is an ``httpx.HTTPTransport`` with ``options`` (``verify=``, ``cert=``, ``limits=``).
    """

    def __init__(
        self,
        service: str,
        *proofs: Proof,
        idempotency_keys: bool = False,
        retry: Retry | None = None,
        authority: str = "",
        transport: httpx.BaseTransport | None = None,
        **options: Any,
    ) -> None:
        self._exchange = Exchange(service, proofs, idempotency_keys, retry or Retry(), authority)
        self._inner = transport or httpx.HTTPTransport(**options)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        # raw_path is the target as it is sent, without a fragment.
        target = self._exchange.target(str(request.url), request.url.raw_path.decode("ascii"), request.headers["Host"])
        if target is None:
            return self._inner.handle_request(request)
        request.read()
        sent = request.headers.copy()
        if sent.pop("Transfer-Encoding", None):  # read() has received the whole body, so its length is known
            sent["Content-Length"] = str(len(request.content))
        sent["Host"] = urlsplit(target).netloc

        def deliver(headers: Mapping[str, str]) -> httpx.Response:
            # Do not add proofs to the caller's request: httpx copies its headers to the target of a redirect.
            all_headers = sent.copy()
            all_headers.update(headers)
            parts: dict[str, Any] = {
                "headers": all_headers,
                "content": request.content,
                "extensions": request.extensions,
            }
            response = self._inner.handle_request(httpx.Request(request.method, request.url, **parts))
            if response.status_code == 400:
                response.read()
            return response

        fields = {name.lower(): value for name, value in sent.items()}
        outgoing = Outgoing(request.method, target, fields, request.content)
        return self._exchange.run(outgoing, deliver, failures=(httpx.TransportError,))

    def close(self) -> None:
        self._inner.close()
