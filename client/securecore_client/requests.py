"""An adapter for requests: ``session.mount(service, Adapter(service, TimestampNonce()))``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import parse_url

from securecore_client.exchange import Exchange, Retry, whole_body
from securecore_client.proofs import Outgoing, Proof


class Adapter(HTTPAdapter):
    """Add each of ``proofs`` to each request to ``service`` (scheme, host and port), and repeat it if that is safe.

    Mount the adapter at the service's address.

    ``authority`` is the service's own Host, if the client connects under another name. ``idempotency_keys`` adds a key
    to each unsafe request without a key: see ``Exchange``. ``options`` are those of ``HTTPAdapter``. Do not set its
    ``max_retries``, which would send one proof twice.
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

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        # Parse the URL with urllib3, which opens the connection. Another parser may read another host in the same text.
        url = parse_url(str(request.url)).url
        host = _text(request.headers.get("Host") or urlsplit(url).netloc.rpartition("@")[2])
        target = self._exchange.target(url, request.path_url, host)
        if target is None:
            return super().send(request, *args, **kwargs)
        body = whole_body(request.body)
        request.headers.pop("Transfer-Encoding", None)
        request.prepare_body(body, None)
        fields = {name.lower(): _text(value) for name, value in request.headers.items()}

        def deliver(headers: Mapping[str, str]) -> requests.Response:
            # Add proofs to a copy: a redirect copies the caller's request and must not send proofs to another host.
            proven = request.copy()
            proven.headers.update({"Host": urlsplit(target).netloc, **headers})
            response = super(Adapter, self).send(proven, *args, **kwargs)
            if response.status_code == 400:
                _ = response.content
            return response

        outgoing = Outgoing(str(request.method), target, fields, body)
        failures = (requests.ConnectionError, requests.Timeout)
        return self._exchange.run(outgoing, deliver, failures=failures)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
