"""How much is sent, where to, and when to stop."""

from __future__ import annotations

import contextlib
import ipaddress
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

#: The last so many answers, and how many 5xx among them are a burst: a service in trouble is left alone.
WINDOW, BURST = 20, 10
#: Failed connections in a row after which nobody is there.
UNREACHABLE = 5


class BadTarget(Exception):
    """The URL, or a host it leads to, is not one that may be scanned."""


class Stopped(Exception):
    """The scan ends here; the message says why. What came before it counts."""


def allowed(url: str, hosts: frozenset[str] = frozenset()) -> SplitResult:
    """Return the parts of a URL that may be scanned: on loopback, or on a host that was named. Raises ``BadTarget``."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadTarget(f"{url!r} is no URL: {error}") from None
    host = parts.hostname or ""
    if parts.scheme not in ("https", "http") or not host or port == 0:
        raise BadTarget(f"{parts.scheme}://{host} is no http(s) URL.")
    if parts.username or parts.password:
        raise BadTarget("The URL holds a password, and would be printed. A certificate is named with --cert.")
    if not _is_loopback(host) and host not in hosts:
        raise BadTarget(f"{host} is not this machine. If it is yours, and it may be attacked, add --allow-host {host}.")
    if parts.scheme == "http" and not _is_loopback(host):
        raise BadTarget(f"http:// to {host} would send tokens in the clear. Plain http is for loopback only.")
    return parts


@dataclass
class Budget:
    """Counts what is sent. Every request passes ``spend`` before it and ``note`` after it, from any thread."""

    requests: int
    seconds: float
    sent: int = 0
    _began: float = field(default_factory=time.monotonic)
    _failures: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _unanswered: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: str = ""
    _tidying: bool = False

    @contextlib.contextmanager
    def tidying(self) -> Iterator[None]:
        """Let what puts things back be sent whatever is spent: a scan that stops leaves nobody without a permission."""
        self._tidying = True
        try:
            yield
        finally:
            self._tidying = False

    def spend(self) -> None:
        """Count one request. Raises ``Stopped`` when there is none left, or a reason to send no more."""
        with self._lock:
            if self.sent >= self.requests:
                self.stopped = self.stopped or f"all {self.requests} requests are spent (--max-requests)"
            elif self.elapsed >= self.seconds:
                self.stopped = self.stopped or f"{self.seconds:.0f} seconds are over (--max-seconds)"
            if self.stopped and not self._tidying:
                raise Stopped(self.stopped)
            self.sent += 1

    def note(self, status: int | None) -> None:
        """Note an answer, None for none. The next ``spend`` raises after too many bad ones."""
        with self._lock:
            self._unanswered = self._unanswered + 1 if status is None else 0
            if status is not None:
                self._failures.append(status >= 500)
            if sum(self._failures) >= BURST:
                self.stopped = f"{sum(self._failures)} of the last {len(self._failures)} answers were 5xx"
            if self._unanswered >= UNREACHABLE:
                self.stopped = f"nobody answers: {self._unanswered} requests in a row failed"

    def allows(self, requests: int) -> bool:
        """Say whether so many requests more are within the bounds, if each takes as long as those before it."""
        seconds = self.elapsed / self.sent * requests if self.sent else 0.0
        return self.sent + requests <= self.requests and self.elapsed + seconds <= self.seconds

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
