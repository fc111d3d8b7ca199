"""Sends requests over mutual TLS, one by one."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx

from securecore_scan.budget import Budget
from securecore_scan.client.request import Request
from securecore_scan.outcomes import NotApplicable, Skipped
from securecore_scan.plan import Identities, Identity
from securecore_scan.scope import BadTarget, check_url

#: The largest number of concurrent requests.
COPIES = 16
#: Seconds to wait for a response: longer than a lock wait of the service.
TIMEOUT = 20.0
#: Bytes of a response, as they are sent. The OpenAPI documents of the largest public APIs have 10 to 20 MB.
LARGEST = 50_000_000
#: The methods of a scan with --read-only.
_SAFE = ("GET", "HEAD", "OPTIONS")


class _Bounded(httpx.HTTPTransport):
    """Ends responses that would never end: see Note [Responses without an end]."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if isinstance(answer.stream, httpx.SyncByteStream):
            if answer.headers.get("Content-Type", "").startswith("text/event-stream"):
                answer.stream.close()
                answer.stream = httpx.ByteStream(b"")
            else:
                answer.stream = _BoundedStream(answer.stream)
        return answer


class _BoundedStream(httpx.SyncByteStream):
    """A body of at most ``LARGEST`` bytes that ends within ``TIMEOUT`` seconds."""

    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        size, until = 0, time.monotonic() + TIMEOUT
        for part in self._stream:
            size += len(part)
            if size > LARGEST:
                raise httpx.ReadError(f"the response has more than {LARGEST:,} bytes")
            if time.monotonic() > until:
                raise httpx.ReadError(f"the response did not end within {TIMEOUT:g} seconds")
            yield part

    def close(self) -> None:
        self._stream.close()


# Note [Responses without an end]
#
# A timeout of httpx is the longest pause within a response, and the budget is asked before a request. A response that
# sends a few bytes every second would therefore hold the scan for ever, or fill the memory. Server-sent events do so by
# design: their status is read, and their body is left alone. Any other body has a limit of bytes and seconds.


class Transport:
    """The connections to one service.

    A ``role`` is "owner", "second" (the attacker) or "admin", each with its certificate, or "anonymous" without one.
    """

    def __init__(
        self,
        url: str,
        *,
        ca: Path | None,
        identities: Identities,
        budget: Budget,
        hosts: frozenset[str] = frozenset(),
        is_read_only: bool = False,
    ) -> None:
        self.parts = check_url(url, hosts)
        if self.parts.query or self.parts.fragment:
            raise BadTarget("The URL may have a path, and neither ? nor #: the scanner would not send that part.")
        self.origin = f"{self.parts.scheme}://{self.parts.netloc}"
        self.prefix = self.parts.path.rstrip("/")
        self.budget = budget
        self.is_read_only = is_read_only
        self._hosts = hosts
        self._ca = ca
        self._identities = identities
        self._clients: dict[str, httpx.Client] = {}
        self._lock = threading.Lock()
        self._visiting = threading.local()

    @property
    def is_tls(self) -> bool:
        return self.parts.scheme == "https"

    @property
    def address(self) -> tuple[str, int]:
        return self.parts.hostname or "", self.parts.port or (443 if self.is_tls else 80)

    def url(self, path: str) -> str:
        """Return the URL of a path below the prefix. A complete URL is returned if its host may be scanned."""
        if path.startswith(("http://", "https://")):
            check_url(path, self._hosts)
            return path
        return f"{self.origin}{self.prefix}{path}"

    @property
    def has_certificates(self) -> bool:
        """Say whether any role has a certificate. Without one, tokens or sessions alone name the callers."""
        return any(self.has(role) for role in ("owner", "second", "admin"))

    def require_certificates(self) -> None:
        """Raises ``NotApplicable`` for plain http, and for a scan without certificates."""
        if not self.is_tls:
            raise NotApplicable("plain http has no certificates")
        if not self.has_certificates:
            raise NotApplicable("the scan has no certificate, as for an API that knows callers by tokens: --cert")

    def has(self, role: str) -> bool:
        return getattr(self._identities, role, None) is not None

    def identity(self, role: str) -> Identity | None:
        """Return the certificate of a role; None for "anonymous", plain http, and a scan without certificates.

        Raises ``Skipped`` if other roles have a certificate and this one has none.
        """
        if role == "anonymous" or not self.is_tls or not self.has_certificates:
            return None
        found: Identity | None = getattr(self._identities, role)
        if found is None:
            raise Skipped(f"needs a certificate: --{'cert' if role == 'owner' else f'{role}-cert'}")
        return found

    def context(self, identity: Identity | None) -> ssl.SSLContext:
        """Return a TLS context with this client certificate that trusts the authority of --ca."""
        # cafile is explicit: no environment variable may choose other authorities.
        context = ssl.create_default_context(cafile=str(self._ca) if self._ca else None)
        if identity is not None:
            context.load_cert_chain(identity.cert, identity.key)
        return context

    def send(self, request: Request, role: str = "owner") -> httpx.Response:
        """Send a request and return the response. Follows no redirect. Raises ``Stopped`` and ``httpx.HTTPError``."""
        return self._exchange(self.client(role), request)

    def visit(self, identity: Identity | None, request: Request) -> httpx.Response:
        """Send a request over a new TLS connection with this certificate."""
        with self._open(self._context_for_visit(identity)) as client:
            return self._exchange(client, request)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def client(self, role: str) -> httpx.Client:
        """Return the connections of a role, of which several threads may send at once."""
        with self._lock:
            if role not in self._clients:
                self._clients[role] = self._open(self.context(self.identity(role)))
            return self._clients[role]

    def _context_for_visit(self, identity: Identity | None) -> ssl.SSLContext:
        """Return this thread's context with another certificate: a new context takes longer than a handshake."""
        if identity is None:
            return self.context(None)
        if not hasattr(self._visiting, "context"):
            self._visiting.context = self.context(None)
        context: ssl.SSLContext = self._visiting.context
        context.load_cert_chain(identity.cert, identity.key)
        return context

    def _open(self, context: ssl.SSLContext) -> httpx.Client:
        return httpx.Client(
            transport=_Bounded(
                verify=context,
                trust_env=False,
                limits=httpx.Limits(max_connections=COPIES, max_keepalive_connections=COPIES),
            ),
            trust_env=False,
            timeout=TIMEOUT,
            # No cookie jar: each attack chooses its own cookies.
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        )

    def headers_of(self, request: Request) -> list[tuple[str, str]]:
        """Return the headers of a request, with those that every request has."""
        headers = [("Accept", "application/json, */*;q=0.5"), *request.headers]
        if request.content:
            headers.append(("Content-Length", str(len(request.content))))
        return headers

    def spend(self, request: Request) -> None:
        """Count a request before it is sent. Raises ``Stopped``, and ``Skipped`` if --read-only forbids the method."""
        if self.is_read_only and request.method not in _SAFE:
            raise Skipped(f"--read-only sends no {request.method}")
        self.budget.spend()

    def exchange(self, client: httpx.Client, request: Request, content: bytes | Iterator[bytes]) -> httpx.Response:
        """Send a request that was counted, with this content, and return the response."""
        return client.request(request.method, self.url(request.path), headers=self.headers_of(request), content=content)

    def _exchange(self, client: httpx.Client, request: Request) -> httpx.Response:
        self.spend(request)
        try:
            answer = self.exchange(client, request, request.content)
        except httpx.HTTPError:
            self.budget.record_answer(None)
            raise
        self.budget.record_answer(answer.status_code)
        return answer
