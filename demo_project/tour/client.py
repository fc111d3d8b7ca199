"""A client of one of the two services."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar

import httpx

#: The number of requests that the services handle at a time: two workers of eight threads.
THREADS = 16

Answer = TypeVar("Answer")


class NotJudged(Exception):
    """The attack could not be carried out as intended, so it proves nothing about the service."""


@dataclass(frozen=True)
class Probe:
    """One attempt of an attacker: whether it succeeded, and the evidence."""

    name: str
    succeeded: bool
    evidence: str


@dataclass(frozen=True)
class Service:
    """One of the two services: its URL, and the folder of its clients' certificates."""

    url: str
    prefix: str
    pki: Path

    def client(self, name: str | None = None, *, folder: Path | None = None) -> httpx.Client:
        """Return a client that presents NAME's certificate, or none. It keeps no cookies: an attack sends its own."""
        # Named explicitly, so that no environment variable chooses other authorities or a proxy.
        context = ssl.create_default_context(cafile=str(self.pki / "ca.pem"))
        if name is not None:
            certificates = folder or self.pki
            context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        return httpx.Client(
            base_url=self.url + self.prefix,
            verify=context,
            trust_env=False,
            # Longer than the slowest good response: a wait for SQLite's only writer, and then a wait for a lock.
            timeout=30,
            limits=httpx.Limits(max_connections=THREADS, max_keepalive_connections=THREADS),
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        )


def at_once(call: Callable[[], Answer], *, times: int = THREADS) -> list[Answer]:
    """Run ``call`` in this number of threads, which start together, and return the result of each."""
    barrier = Barrier(times)

    def run(_: int) -> Answer:
        barrier.wait(timeout=30)
        return call()

    with ThreadPoolExecutor(max_workers=times) as pool:
        return list(pool.map(run, range(times)))


def unique(word: str) -> str:
    """Return ``word`` with 48 random bits behind it, so that an attack can find its own rows."""
    return f"{word}-{secrets.token_hex(6)}"


def granted(response: httpx.Response) -> httpx.Response:
    """Return a response that an attack builds on. Raises ``NotJudged`` if the service refused the request."""
    if not response.is_success:
        raise NotJudged(f"{response.request.method} {response.url.path} answered {described(response)}")
    return response


def body(response: httpx.Response) -> Any:
    """Return the JSON of a response that an attack builds on. Raises ``NotJudged`` if it is a refusal."""
    return granted(response).json()


def described(response: httpx.Response) -> str:
    """Return the status, with the problem's code if the response has one."""
    try:
        code = response.json().get("code", "")
    except (ValueError, AttributeError):
        code = ""
    return f"{response.status_code} {code}".strip()


def refused(response: httpx.Response) -> bool:
    """Say whether the service refused the request. Raises ``NotJudged`` after a server error, which is no refusal."""
    return 400 <= response.status_code < 500 or not granted(response).is_success
