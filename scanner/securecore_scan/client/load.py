"""Repeats one effect in several threads, and records every attempt."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from securecore_scan.client import effects
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive
from securecore_scan.plan import Effect

THREADS = 8
#: Seconds between two attempts of a thread: load, without flooding the service.
PAUSE = 0.005
#: Seconds after which a service is too slow for this test.
PATIENCE = 8.0


@dataclass
class Attempt:
    """One request for the effect: start, end and status."""

    began: float
    ended: float
    status: int

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300


@dataclass
class Load:
    """One effect in a loop in ``THREADS`` threads. All requests share a canary; each has its own key and nonce."""

    target: Target
    effect: Effect
    canary: str
    attempts: list[Attempt] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the threads until the end of the block, and raise the first error of a thread there."""
        with ThreadPoolExecutor(max_workers=THREADS) as pool:
            threads = [pool.submit(self._repeat) for _ in range(THREADS)]
            try:
                yield
            finally:
                self._stop.set()
            for thread in threads:
                thread.result()

    def decided(self, since: float) -> list[Attempt]:
        """Return the attempts that began after ``since`` and were allowed or refused. A 5xx is neither."""
        return [attempt for attempt in list(self.attempts) if attempt.began > since and attempt.status < 500]

    def wait(self, seconds: float, since: float, *, refused_within: float | None = None) -> None:
        """Wait ``seconds``, and until there is one decided attempt per thread since ``since``.

        With ``refused_within``, wait on until an attempt is refused, but no longer than ``refused_within`` seconds.
        Raises ``Inconclusive`` after ``PATIENCE`` seconds.
        """
        began = time.monotonic()
        while not self._stop.is_set():
            seen, elapsed = self.decided(since), time.monotonic() - began
            awaits_refusal = (
                refused_within is not None and all(attempt.succeeded for attempt in seen) and elapsed < refused_within
            )
            if elapsed >= seconds and len(seen) >= THREADS and not awaits_refusal:
                return
            if elapsed > PATIENCE:
                raise Inconclusive(f"too slow for a race: {len(seen)} attempts in {PATIENCE:.0f} s")
            time.sleep(0.02)

    def _repeat(self) -> None:
        try:
            while not self._stop.is_set():
                request = effects.capture(self.target, self.effect, canary=self.canary).request
                began = time.monotonic()
                answer = self.target.transport.send(request)
                self.attempts.append(Attempt(began, time.monotonic(), answer.status_code))
                time.sleep(PAUSE)
        finally:
            # If one thread fails, the round ends for all.
            self._stop.set()
