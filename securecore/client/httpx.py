"""A transport for httpx: ``httpx.Client(transport=Transport("https://pay.example", TimestampNonce(), verify=tls))``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from securecore.client.exchange import Exchange, Retry
from securecore.client.proofs import Outgoing, Proof


class Transport(httpx.BaseTransport):
    """Proves every request to ``service`` (scheme, host and port) in each of the ways ``proofs``, and sends it again
    where that can do no harm; requests to elsewhere go out as they are.

    ``idempotency_keys`` puts a key on each unsafe request that has none: see ``Exchange``. ``transport`` is the one
    that sends; if None, an ``httpx.HTTPTransport`` made with ``options`` (``verify=``, ``cert=``, ``limits=``).
    """

    def __init__(
        self,
        service: str,
        *proofs: Proof,
        idempotency_keys: bool = False,
        retry: Retry | None = None,
        transport: httpx.BaseTransport | None = None,
        **options: Any,
    ) -> None:
        self._exchange = Exchange(service, proofs, idempotency_keys, retry or Retry())
        self._inner = transport or httpx.HTTPTransport(**options)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        # The target as it goes over the wire, without a fragment; Host may have been set by hand.
        url = f"{request.url.scheme}://{request.headers['Host']}{request.url.raw_path.decode('ascii')}"
        if not self._exchange.concerns(url):
            return self._inner.handle_request(request)
        request.read()
        if request.headers.pop("Transfer-Encoding", None):  # it is here in one piece
            request.headers["Content-Length"] = str(len(request.content))
        fields = {name.lower(): value for name, value in request.headers.items()}

        def deliver(headers: Mapping[str, str]) -> httpx.Response:
            request.headers.update(headers)
            response = self._inner.handle_request(request)
            if response.status_code == 400:
                response.read()
            return response

        outgoing = Outgoing(request.method, url, fields, request.content)
        return self._exchange.run(outgoing, deliver, failures=(httpx.TransportError,))

    def close(self) -> None:
        self._inner.close()
