"""Requests over mutual TLS, one after another and all at once.

See Note [Last byte].
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx

from securecore_scan.limits import BadTarget, Budget, allowed
from securecore_scan.plan import Identities, Identity
from securecore_scan.verdict import NotJudged, Skipped

#: At once, and never more.
COPIES = 16
#: Seconds: longer than an honest answer that waited for a lock, and for the last of the others at the barrier.
TIMEOUT, GATHERING = 20.0, 10.0

# Note [Last byte]
#
# Concurrent copies must arrive together, or a race of a millisecond is missed. Each goes over a connection of its own,
# without its last byte; when all have sent that much, each sends the one that is missing. A proxy that buffers bodies
# (nginx's default) passes each on when it is whole, and an application that reads the body itself waits in that read.
# httpx does it: a body may be a generator, and what it yields is written at once, since httpcore sets TCP_NODELAY. With
# Content-Length given there is no chunked encoding, so what arrives is the request as it would always be. Sockets of
# our own over ssl would do the same with an HTTP parser of our own. A request without a body is only started together.


@dataclass(frozen=True)
class Request:
    """A request with everything filled in, so that it can be sent again as it is."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes = b""

    def with_headers(self, **headers: str) -> Request:
        """Return this request with more headers; an underscore stands for a hyphen."""
        more = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return replace(self, headers=(*self.headers, *more))


class Wire:
    """The way to one service, for several identities. ``who`` is one of them, or ``nobody``: no certificate."""

    def __init__(
        self, url: str, *, ca: Path | None, identities: Identities, budget: Budget, hosts: frozenset[str] = frozenset()
    ) -> None:
        self.parts = allowed(url, hosts)
        if self.parts.query or self.parts.fragment:
            raise BadTarget(
                "The URL says where the API is, with a path at most: what stands behind ? or # is not sent."
            )
        self.origin = f"{self.parts.scheme}://{self.parts.netloc}"
        self.prefix = self.parts.path.rstrip("/")
        self.budget = budget
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
        """Return the address of a path below the prefix, or of another service that may be read."""
        if path.startswith(("http://", "https://")):
            allowed(path, self._hosts)
            return path
        return f"{self.origin}{self.prefix}{path}"

    def has(self, who: str) -> bool:
        return getattr(self._identities, who, None) is not None

    def identity(self, who: str) -> Identity | None:
        """Return whose certificate it is. Raises ``Skipped`` if the scan was given none; plain http has none."""
        if who == "nobody" or not self.is_tls:
            return None
        found: Identity | None = getattr(self._identities, who)
        if found is None:
            raise Skipped(f"needs a certificate: --{'cert' if who == 'owner' else f'{who}-cert'}")
        return found

    def context(self, identity: Identity | None) -> ssl.SSLContext:
        """Return TLS that shows this certificate and believes the authority of the scan."""
        # Named explicitly, so that no variable of the environment chooses other authorities.
        context = ssl.create_default_context(cafile=str(self._ca) if self._ca else None)
        if identity is not None:
            context.load_cert_chain(identity.cert, identity.key)
        return context

    def send(self, request: Request, who: str = "owner", *, content: Iterator[bytes] | None = None) -> httpx.Response:
        """Send it and return the answer. Follows no redirect. Raises ``Stopped``, ``httpx.HTTPError``."""
        return self._exchange(self._client(who), request, content)

    def visit(self, identity: Identity | None, request: Request) -> httpx.Response:
        """Send it over a TLS connection of its own, with this certificate."""
        with self._open(self._changed(identity)) as client:
            return self._exchange(client, request, None)

    def at_once(self, requests: Sequence[Request], who: str = "owner") -> list[httpx.Response]:
        """Send them so that they arrive together; return the answers that came. Raises ``NotJudged`` if few did."""
        if len(requests) > COPIES:
            raise ValueError(f"at most {COPIES} at once")
        gathered = threading.Event()
        barrier = threading.Barrier(len(requests), action=gathered.set)
        client = self._client(who)

        def one(request: Request) -> httpx.Response | None:
            try:
                return self._exchange(client, request, _held_back(request.content, barrier))
            except (httpx.HTTPError, threading.BrokenBarrierError):
                return None
            finally:
                # Whoever ends before the others could go, for whatever reason, is not waited for.
                if not gathered.is_set():
                    barrier.abort()

        with ThreadPoolExecutor(max_workers=len(requests)) as pool:
            answers = [answer for answer in pool.map(one, requests) if answer is not None]
        if len(answers) * 2 < len(requests):
            raise NotJudged(f"{len(answers)} of {len(requests)} concurrent requests were answered")
        return answers

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def _client(self, who: str) -> httpx.Client:
        with self._lock:
            if who not in self._clients:
                self._clients[who] = self._open(self.context(self.identity(who)))
            return self._clients[who]

    def _changed(self, identity: Identity | None) -> ssl.SSLContext:
        """Return this thread's context with another certificate: a new one takes longer than the handshake."""
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
            # It keeps no cookies: an attack sends its own.
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        )

    def _exchange(self, client: httpx.Client, request: Request, content: Iterator[bytes] | None) -> httpx.Response:
        self.budget.spend()
        headers = [("Accept", "application/json, */*;q=0.5"), *request.headers]
        if request.content:
            headers.append(("Content-Length", str(len(request.content))))
        try:
            answer = client.request(
                request.method,
                self.url(request.path),
                headers=headers,
                content=content if content is not None and request.content else request.content,
            )
        except httpx.HTTPError:
            self.budget.note(None)
            raise
        self.budget.note(answer.status_code)
        return answer


def _held_back(content: bytes, barrier: threading.Barrier) -> Iterator[bytes]:
    yield content[:-1]
    barrier.wait(GATHERING)
    yield content[-1:]
