"""How many requests and seconds a scan may take, and when the scan stops early."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

#: The scan stops if 10 of the last 20 responses are 5xx: a failing service is left alone.
WINDOW, BURST = 20, 10
#: The scan stops after 5 failed connections in a row: the service is down.
UNREACHABLE = 5


class Stopped(Exception):
    """The scan ends here, for the reason in the message. The results so far are valid."""


@dataclass
class Budget:
    """Counts requests. Every thread calls ``spend`` before a request and ``record_answer`` after it."""

    requests: int
    seconds: float
    sent: int = 0
    #: Responses and completed handshakes; connections that failed.
    answered: int = 0
    failed: int = 0
    _began: float = field(default_factory=time.monotonic)
    _failures: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _unanswered: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: str = ""
    _restoring: bool = False

    @contextlib.contextmanager
    def restoring(self) -> Iterator[None]:
        """Allow requests beyond the budget, to undo a change. Example: grant a revoked permission again."""
        self._restoring = True
        try:
            yield
        finally:
            self._restoring = False

    def spend(self) -> None:
        """Count one request. Raises ``Stopped`` if the budget is used up or the service is in trouble."""
        with self._lock:
            if self.sent >= self.requests:
                self.stopped = self.stopped or f"all {self.requests} requests are used up (--max-requests)"
            elif self.elapsed >= self.seconds:
                self.stopped = self.stopped or f"{self.seconds:.0f} seconds are over (--budget)"
            if self.stopped and not self._restoring:
                raise Stopped(self.stopped)
            self.sent += 1

    def record_answer(self, status: int | None) -> None:
        """Record the status of a response, or None if none came. Too many failures stop the next ``spend``."""
        with self._lock:
            self._unanswered = self._unanswered + 1 if status is None else 0
            self.answered += status is not None
            self.failed += status is None
            if status is not None:
                self._failures.append(status >= 500)
            if sum(self._failures) >= BURST:
                self.stopped = f"{sum(self._failures)} of the last {len(self._failures)} responses were 5xx"
            if self._unanswered >= UNREACHABLE:
                self.stopped = f"the service does not answer: {self._unanswered} requests in a row failed"

    def record_race(self, statuses: Sequence[int | None]) -> None:
        """Record the responses to concurrent requests, which count as one towards the 5xx that stop a scan.

        Copies that lose a race may each be answered 500 by a service in good health: a unique constraint does that.
        """
        answered = [status for status in statuses if status is not None]
        with self._lock:
            self.answered += len(answered)
            self.failed += len(statuses) - len(answered)
            self._unanswered = 0 if answered else self._unanswered + 1
        if answered:
            self.record_answer(min(answered))

    def record_handshake(self) -> None:
        """Record a completed TLS handshake: something answers on the port."""
        with self._lock:
            self.answered += 1

    def has_room_for(self, requests: int) -> bool:
        """Say whether the budget allows this many more requests, if each takes the average time of those so far."""
        seconds = self.elapsed / self.sent * requests if self.sent else 0.0
        return self.sent + requests <= self.requests and self.elapsed + seconds <= self.seconds

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began
