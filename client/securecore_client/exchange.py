"""Send one request: a new proof for each attempt, and another attempt only if a repeat is safe.

``httpx``, ``requests`` and ``urllib`` hold the adapters to the HTTP libraries; ``proofs`` builds the proofs.
"""

from __future__ import annotations

import datetime as dt
import random
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import http_sf

from securecore_client.proofs import Outgoing, Proof, Response

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
#: Temporary statuses: too early, too many requests, and failures of proxies and services (RFC 8470, 6585, 9110).
_TEMPORARY = (425, 429, 502, 503, 504)


def new_idempotency_key() -> str:
    """Return a new value for ``Idempotency-Key``. Keep the value: a repeat of the request must send the same one."""
    return http_sf.ser(secrets.token_urlsafe(16))


@dataclass(frozen=True)
class Retry:
    """The rules for sending a request again.

    A request is sent again if its method is safe or if it has an Idempotency-Key. The reasons are a failed connection
    and a temporary status (425, 429, 502, 503, 504, and 409 with Retry-After).

    There are at most ``attempts`` attempts in total. The wait is the time of Retry-After plus a random part of
    ``backoff`` seconds, which double with each attempt. If Retry-After is more than ``longest_wait``, the caller gets
    the response instead of another attempt.
    """

    attempts: int = 4
    backoff: float = 0.25
    longest_wait: float = 30.0
    sleep: Callable[[float], None] = time.sleep

    def wait(self, attempt: int, retry_after: str | None = None) -> float | None:
        """Return the seconds until the next attempt, or None if ``attempt`` is the last. The first attempt is 1."""
        demanded = _seconds(retry_after)
        if attempt >= self.attempts or demanded > self.longest_wait:
            return None
        # Full jitter: clients that failed at the same time do not repeat at the same time.
        jitter = random.uniform(0, self.backoff * 2 ** (attempt - 1))  # noqa: S311
        return min(demanded + jitter, self.longest_wait)


ResponseT = TypeVar("ResponseT", bound=Response)


@dataclass(frozen=True)
class Exchange:
    """Add proofs to requests to ``service`` (scheme, host, port), and repeat them.

    ``authority`` is the service's own Host, if the client connects under another name, for example through a forwarded
    port. Proofs are built for this Host.

    ``idempotency_keys`` adds a key to each unsafe request without a key. Set it only if the service honours the key on
    each route. On another route a repeated request would have a second effect.
    """

    service: str
    proofs: tuple[Proof, ...]
    idempotency_keys: bool = False
    retry: Retry = Retry()
    authority: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.service)
        beyond = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
        if beyond or not (parts.netloc and self.service.isascii()):
            raise ValueError(
                f"{self.service!r}: give scheme, host and port, for example https://pay.example:8443. Write the host "
                f"in ASCII, as in DNS (xn--...)."
            )

    def target(self, url: str, path: str, host: str) -> str | None:
        """Return the URL for the proofs, or None if the request does not go to the service.

        ``url`` is the address to which the library connects. Only ``url`` decides: a program or an earlier redirect may
        have set the Host header, and a token for the service must not go to another host with the service's name in
        that header. ``path`` is the request target that is sent. Raises ``ValueError`` if the Host header ``host`` is
        neither the host of the URL nor ``authority``, because the service would then see another URL than the proof.
        """
        if _origin(url) != _origin(self.service):
            return None
        scheme, _, _ = _origin(url)
        known = {_origin(f"{scheme}://{name}") for name in (urlsplit(url).netloc.rpartition("@")[2], self.authority)}
        if _origin(f"{scheme}://{host}") not in known:
            raise ValueError(
                f"The Host header is {host!r}, and the request goes to {self.service!r}. Omit the header, or give it "
                f"as the authority of this service: authority={host!r}."
            )
        return f"{scheme}://{self.authority or host}{path}"

    def run(
        self,
        request: Outgoing,
        deliver: Callable[[Mapping[str, str]], ResponseT],
        *,
        failures: tuple[type[Exception], ...],
    ) -> ResponseT:
        """Send ``request``, perhaps several times, and return the response.

        ``deliver`` sends the request once, with the given headers in addition. It raises one of ``failures`` if there
        is no response; after the last attempt that exception reaches the caller. The response to the last
        attempt is returned, also a 503.
        """
        new_key = self._new_key_for(request)
        request = _with(request, new_key)
        may_repeat = request.method in _SAFE_METHODS or "idempotency-key" in request.fields
        attempt, has_new_nonce = 0, False
        while True:
            attempt += 1
            try:
                response = deliver({**new_key, **self._proofs_for(request)})
            except failures:
                wait = self.retry.wait(attempt) if may_repeat else None
                if wait is None:
                    raise
            else:
                # A request that is refused for lack of a nonce had no effect, so a repeat is safe for each method.
                needs_nonce = self._learn(request, response)
                if needs_nonce and not has_new_nonce:
                    has_new_nonce = True
                    response.close()
                    continue
                wait = self._wait_after(response, attempt) if may_repeat else None
                if wait is None:
                    return response
                response.close()
            self.retry.sleep(wait)

    def _new_key_for(self, request: Outgoing) -> dict[str, str]:
        if not self.idempotency_keys or request.method in _SAFE_METHODS or "idempotency-key" in request.fields:
            return {}
        return {"Idempotency-Key": new_idempotency_key()}

    def _learn(self, request: Outgoing, response: Response) -> bool:
        # A list and not a generator in any(), so that each proof reads the response.
        needs_repeat = [proof.learn_from(request, response) for proof in self.proofs]
        return any(needs_repeat)

    def _wait_after(self, response: Response, attempt: int) -> float | None:
        retry_after = response.headers.get("Retry-After")
        # 409 with Retry-After: a twin with the same key is still running. Its response will be sent for both requests.
        twin = response.status_code == 409 and retry_after
        return self.retry.wait(attempt, retry_after) if response.status_code in _TEMPORARY or twin else None

    def _proofs_for(self, request: Outgoing) -> dict[str, str]:
        """Return the headers of all proofs. A later proof may cover the headers of an earlier one."""
        headers: dict[str, str] = {}
        for proof in self.proofs:
            headers |= proof.headers(_with(request, headers))
        return headers


def whole_body(body: Any) -> bytes:
    """Return the whole body as bytes, because the proofs hash it and a repeat sends it again."""
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    return bytes(body.read()) if hasattr(body, "read") else b"".join(body)


_DEFAULT_PORTS = {"http": 80, "https": 443}


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)


def _with(request: Outgoing, headers: Mapping[str, str]) -> Outgoing:
    return replace(request, fields={**request.fields, **_lower(headers.items())})


def _lower(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


def _seconds(retry_after: str | None) -> float:
    """Return the seconds of a Retry-After header, which holds seconds or a date (RFC 9110 section 10.2.3).

    Return 0 for a missing or malformed header.
    """
    if not retry_after:
        return 0.0
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - dt.datetime.now(dt.UTC)) / dt.timedelta(seconds=1))
    except (ValueError, TypeError):
        return 0.0
