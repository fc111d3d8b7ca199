"""An adapter for requests: ``session.mount(service, Adapter(service, TimestampNonce()))``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import parse_url

from securecore.client.exchange import Exchange, Retry
from securecore.client.proofs import Outgoing, Proof


class Adapter(HTTPAdapter):
    """Proves every request to ``service`` (scheme, host and port) in each of the ways ``proofs``, and sends it again
    where that can do no harm. Mount it at the service's address.

    ``authority`` is the Host that the service knows itself by, where it is reached under another name.
    ``idempotency_keys`` puts a key on each unsafe request that has none: see ``Exchange``. ``options`` are
    HTTPAdapter's; leave its own ``max_retries`` alone, which would send one proof twice.
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
        # As urllib3 reads it, which makes the connection: another parser may find another host in the same text.
        url = parse_url(str(request.url)).url
        host = _text(request.headers.get("Host") or urlsplit(url).netloc.rpartition("@")[2])
        target = self._exchange.target(url, request.path_url, host)
        if target is None:
            return super().send(request, *args, **kwargs)
        body = _content(request.body)
        request.headers.pop("Transfer-Encoding", None)
        request.prepare_body(body, None)
        fields = {name.lower(): _text(value) for name, value in request.headers.items()}

        def deliver(headers: Mapping[str, str]) -> requests.Response:
            # A copy: a redirect starts from the caller's request, and must not carry proofs to another host.
            proven = request.copy()
            proven.headers.update({"Host": urlsplit(target).netloc, **headers})
            response = super(Adapter, self).send(proven, *args, **kwargs)
            if response.status_code == 400:
                _ = response.content
            return response

        outgoing = Outgoing(str(request.method), target, fields, body)
        failures = (requests.ConnectionError, requests.Timeout)
        return self._exchange.run(outgoing, deliver, failures=failures)


def _content(body: Any) -> bytes:
    """A body in one piece: it is hashed, and perhaps sent again."""
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes):
        return body
    return bytes(body.read()) if hasattr(body, "read") else b"".join(body)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
