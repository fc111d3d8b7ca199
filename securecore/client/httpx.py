"""A transport for httpx: ``httpx.Client(transport=Transport("https://pay.example", TimestampNonce(), verify=tls))``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from securecore.client.exchange import Exchange, Retry
from securecore.client.proofs import Outgoing, Proof


class Transport(httpx.BaseTransport):
    """Proves every request to ``service`` (scheme, host and port) in each of the ways ``proofs``, and sends it again
    where that can do no harm; requests to elsewhere go out as they are, also after a redirect.

    ``authority`` is the Host that the service knows itself by, where it is reached under another name.
    ``idempotency_keys`` puts a key on each unsafe request that has none: see ``Exchange``. ``transport`` is the one
    that sends; if None, an ``httpx.HTTPTransport`` made with ``options`` (``verify=``, ``cert=``, ``limits=``).
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
        # The target as it goes over the wire, without a fragment.
        target = self._exchange.target(str(request.url), request.url.raw_path.decode("ascii"), request.headers["Host"])
        if target is None:
            return self._inner.handle_request(request)
        request.read()
        sent = request.headers.copy()
        if sent.pop("Transfer-Encoding", None):  # it is here in one piece
            sent["Content-Length"] = str(len(request.content))
        sent["Host"] = urlsplit(target).netloc

        def deliver(headers: Mapping[str, str]) -> httpx.Response:
            # Never on the caller's request: httpx copies its headers to where a redirect leads, proofs among them.
            all_headers = sent.copy()
            all_headers.update(headers)
            how: dict[str, Any] = {"headers": all_headers, "content": request.content, "extensions": request.extensions}
            response = self._inner.handle_request(httpx.Request(request.method, request.url, **how))
            if response.status_code == 400:
                response.read()
            return response

        fields = {name.lower(): value for name, value in sent.items()}
        outgoing = Outgoing(request.method, target, fields, request.content)
        return self._exchange.run(outgoing, deliver, failures=(httpx.TransportError,))

    def close(self) -> None:
        self._inner.close()
