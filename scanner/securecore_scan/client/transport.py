"""Sends requests over mutual TLS, one by one or together.

See Note [Last-byte synchronisation].
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx

from securecore_scan.budget import Budget
from securecore_scan.client.request import Request
from securecore_scan.outcomes import Inconclusive, NotApplicable, Skipped
from securecore_scan.plan import Identities, Identity
from securecore_scan.scope import BadTarget, check_url

#: The largest number of concurrent requests.
COPIES = 16
#: Seconds to wait for a response: longer than a lock wait of the service. Seconds to wait until all copies are ready.
TIMEOUT, GATHERING = 20.0, 10.0
#: The methods of a scan with --read-only.
_SAFE = ("GET", "HEAD", "OPTIONS")

# Note [Last-byte synchronisation]
#
# Concurrent copies must reach the application together, or the attack misses a race of one millisecond. Each copy goes
# over its own connection, without its last byte. When every copy has sent that much, each sends its last byte. A proxy
# that buffers bodies (nginx by default) forwards each request when its body is complete. An application that reads the
# body itself waits in that read.
#
# httpx can do this. A body may be a generator, and httpcore writes each yielded part at once because it sets
# TCP_NODELAY. Content-Length is given, so httpx uses no chunked encoding and the request looks like any other. Raw
# sockets would work as well, but need an HTTP parser. Requests without a body are only started together.


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
        return self._exchange(self._client(role), request, request.content)

    def visit(self, identity: Identity | None, request: Request) -> httpx.Response:
        """Send a request over a new TLS connection with this certificate."""
        with self._open(self._context_for_visit(identity)) as client:
            return self._exchange(client, request, request.content)

    def send_together(self, requests: Sequence[Request], role: str = "owner") -> list[httpx.Response]:
        """Send the requests so that they arrive together, and return the responses.

        Raises ``Inconclusive`` if fewer than half of the requests were answered.
        """
        if len(requests) > COPIES:
            raise ValueError(f"at most {COPIES} requests together")
        gathered = threading.Event()
        barrier = threading.Barrier(len(requests), action=gathered.set)
        client = self._client(role)

        def send_one(request: Request) -> httpx.Response | None:
            content = _held_back(request.content, barrier) if request.content else b""
            try:
                return self._exchange(client, request, content)
            except (httpx.HTTPError, threading.BrokenBarrierError):
                return None
            finally:
                # A copy that fails before the barrier opens must not keep the others waiting.
                if not gathered.is_set():
                    barrier.abort()

        with ThreadPoolExecutor(max_workers=len(requests)) as pool:
            answers = [answer for answer in pool.map(send_one, requests) if answer is not None]
        if len(answers) * 2 < len(requests):
            raise Inconclusive(f"{len(answers)} of {len(requests)} concurrent requests were answered")
        return answers

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def _client(self, role: str) -> httpx.Client:
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
            verify=context,
            trust_env=False,
            timeout=TIMEOUT,
            limits=httpx.Limits(max_connections=COPIES, max_keepalive_connections=COPIES),
            # No cookie jar: each attack chooses its own cookies.
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        )

    def _exchange(self, client: httpx.Client, request: Request, content: bytes | Iterator[bytes]) -> httpx.Response:
        if self.is_read_only and request.method not in _SAFE:
            raise Skipped(f"--read-only sends no {request.method}")
        self.budget.spend()
        headers = [("Accept", "application/json, */*;q=0.5"), *request.headers]
        if request.content:
            headers.append(("Content-Length", str(len(request.content))))
        try:
            answer = client.request(request.method, self.url(request.path), headers=headers, content=content)
        except httpx.HTTPError:
            self.budget.record_answer(None)
            raise
        self.budget.record_answer(answer.status_code)
        return answer


def _held_back(content: bytes, barrier: threading.Barrier) -> Iterator[bytes]:
    """Yield ``content`` without its last byte, wait until every copy has sent as much, and yield the last byte."""
    yield content[:-1]
    barrier.wait(GATHERING)
    yield content[-1:]
