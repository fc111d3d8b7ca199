"""The queue before the gate: of one caller, few threads of a process ask PostgreSQL at once.

A check that waits at the gate is in the way of others. When a change lets go of its gate all who wait there are woken
before it, and it learns of its own commit behind them; and each check that is let in while the machine is busy is one
more that the next change waits for. Who waits here, in its own process, costs nobody anything. It is no part of the
check: what is let through is decided behind the gate.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from securecore import database
from securecore.caches import BoundedCache
from securecore.conf import settings
from securecore.errors import Busy

#: How many threads. Measured with 64 clients on two cores (benchmarks/revocation_latency.py --at-once): 2 take more
#: than half off the p95 of a revocation, 4 two fifths, with as many checks a second as before. Each is one round trip:
#: over 1 ms of network 2 are some 1,500 checks a second of one caller, more than a process has the CPU for.
AT_ONCE = 2

#: One that is dropped while somebody is in it lets a few more in than it should, and no harm is done.
_turnstiles: BoundedCache[threading.Semaphore] = BoundedCache(
    size=lambda: settings.CALLER_CACHE_SIZE, seconds=lambda: settings.CACHE_SECONDS
)


@contextmanager
def turn(names: tuple[str, ...]) -> Iterator[None]:
    """Run the block, which takes the gate of the caller with these names, when it is this thread's turn. Raises
    ``Busy`` (503) after ``LOCK_TIMEOUT``.

    Needs a transaction. One that may hold locks does not wait here, where PostgreSQL sees no deadlock.
    """
    if database.may_hold_locks():
        yield
        return
    turnstile = _turnstiles.get(names)
    if turnstile is None:
        turnstile = threading.Semaphore(AT_ONCE)
        _turnstiles.put(names, turnstile)
    if not turnstile.acquire(timeout=settings.LOCK_TIMEOUT):
        raise Busy
    try:
        yield
    finally:
        turnstile.release()
