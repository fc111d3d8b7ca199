"""One request and its answer: a new proof for every attempt, and another attempt only where it can do no harm."""

from __future__ import annotations

import datetime as dt
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlsplit

import http_sf

from securecore import clock, digests
from securecore.client.proofs import Answer, Outgoing, Proof
from securecore.errors import Misuse

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
#: Too early, too many, and what proxies and services say when they could not answer (RFC 8470, 6585, 9110).
_PASSING = (425, 429, 502, 503, 504)


def new_idempotency_key() -> str:
    """Return a value for ``Idempotency-Key``: keep it, to ask again for the same effect."""
    return http_sf.ser(digests.new_identifier())


@dataclass(frozen=True)
class Retry:
    """When a request is sent again: if it is safe or has an Idempotency-Key, after a failed connection or a status that
    passes (425, 429, 502, 503, 504, and 409 with Retry-After).

    At most ``attempts`` times in all. The wait is a random part of ``backoff`` seconds, doubled each time, and at least
    what Retry-After says; if that is more than ``longest_wait``, the caller gets the answer instead.
    """

    attempts: int = 4
    backoff: float = 0.25
    longest_wait: float = 30.0
    sleep: Callable[[float], None] = time.sleep

    def wait(self, attempt: int, retry_after: str | None = None) -> float | None:
        """Return the seconds until the next attempt, or None if there is none after ``attempt`` (the first is 1)."""
        demanded = _seconds(retry_after)
        if attempt >= self.attempts or demanded > self.longest_wait:
            return None
        # Full jitter: clients that failed together do not come back together.
        jitter = random.uniform(0, self.backoff * 2 ** (attempt - 1))  # noqa: S311
        return min(demanded + jitter, self.longest_wait)


AnswerT = TypeVar("AnswerT", bound=Answer)


@dataclass(frozen=True)
class Exchange:
    """How requests to ``service`` (scheme, host, port) are proven and repeated.

    ``authority`` is the Host that the service knows itself by, where it is reached under another name: through a
    forwarded port, say. Proofs are made for it.

    ``idempotency_keys`` puts a key on every unsafe request that has none. Only where the service honours it on every
    route: to another one, a request that is sent again is a second effect.
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
            raise Misuse(
                f"{self.service!r}: name the service by scheme, host and port, https://pay.example:8443, and a host as "
                f"DNS has it, in ASCII (xn--...)."
            )

    def target(self, url: str, path: str, host: str) -> str | None:
        """Return the URL that proofs are made for, or None if the request does not go to the service.

        ``url`` is where the library connects to, and decides alone: a Host header is text that a program or an earlier
        redirect put there. A token for the service must not go to another host that the header calls the service.
        ``path`` is the target on the wire. Raises ``Misuse`` if the Host header ``host`` is neither that of the URL nor
        ``authority``: the service would see another URL than was proven.
        """
        if _origin(url) != _origin(self.service):
            return None
        scheme, _, _ = _origin(url)
        known = {_origin(f"{scheme}://{each}") for each in (urlsplit(url).netloc.rpartition("@")[2], self.authority)}
        if _origin(f"{scheme}://{host}") not in known:
            raise Misuse(
                f"The Host header is {host!r}, and the request goes to {self.service!r}. Leave the header out, or name "
                f"it for this service: authority={host!r}."
            )
        return f"{scheme}://{self.authority or host}{path}"

    def run(
        self,
        request: Outgoing,
        deliver: Callable[[Mapping[str, str]], AnswerT],
        *,
        failures: tuple[type[Exception], ...],
    ) -> AnswerT:
        """Return the answer to ``request``; ``deliver`` sends it once with the headers it is given, and raises one of
        ``failures`` when there is no answer.
        """
        added = self._key_for(request)
        request = _with(request, added)
        may_repeat = request.method in _SAFE_METHODS or "idempotency-key" in request.fields
        attempt, told = 0, False
        while True:
            attempt += 1
            try:
                answer = deliver({**added, **self._proven(request)})
            except failures:
                wait = self.retry.wait(attempt) if may_repeat else None
                if wait is None:
                    raise
            else:
                # Refused for want of a nonce: it had no effect, whatever its method.
                wanted = self._learn(request, answer)
                if wanted and not told:
                    told = True
                    answer.close()
                    continue
                wait = self._wait_after(answer, attempt) if may_repeat else None
                if wait is None:
                    return answer
                answer.close()
            self.retry.sleep(wait)

    def _key_for(self, request: Outgoing) -> dict[str, str]:
        needs_one = self.idempotency_keys and request.method not in _SAFE_METHODS
        return (
            {"Idempotency-Key": new_idempotency_key()} if needs_one and "idempotency-key" not in request.fields else {}
        )

    def _learn(self, request: Outgoing, answer: Answer) -> bool:
        wanted = [proof.learns(request, answer) for proof in self.proofs]  # each of them, so not any() of a generator
        return any(wanted)

    def _wait_after(self, answer: Answer, attempt: int) -> float | None:
        retry_after = answer.headers.get("Retry-After")
        # A twin with our key is still under way: it will have an answer for both.
        twin = answer.status_code == 409 and retry_after
        return self.retry.wait(attempt, retry_after) if answer.status_code in _PASSING or twin else None

    def _proven(self, request: Outgoing) -> dict[str, str]:
        headers: dict[str, str] = {}
        for proof in self.proofs:
            headers |= proof.headers(_with(request, headers))
        return headers


_DEFAULT_PORTS = {"http": 80, "https": 443}


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)


def _with(request: Outgoing, headers: Mapping[str, str]) -> Outgoing:
    return replace(request, fields={**request.fields, **_lower(headers.items())})


def _lower(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


def _seconds(retry_after: str | None) -> float:
    """RFC 9110 section 10.2.3: seconds or a date. What cannot be read demands nothing."""
    if not retry_after:
        return 0.0
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - clock.now()) / dt.timedelta(seconds=1))
    except (ValueError, TypeError):
        return 0.0
