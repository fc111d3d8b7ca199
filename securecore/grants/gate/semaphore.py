"""The semaphore before the gate: it limits the concurrent checks of one caller in one process.

Checks that wait at the gate delay revocations in two ways. PostgreSQL wakes the waiting checks before the revoking
session receives its COMMIT reply. And on a busy machine each check that gets the lock is one more for the next
revocation to wait for. A thread that waits at the semaphore delays no database session. The semaphore decides no
permission: the check reads the permission behind the gate.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from securecore import database
from securecore.caches import BoundedCache
from securecore.conf import settings
from securecore.errors import Busy

#: Concurrent checks of one caller in a process. Measured with 64 clients on two cores (benchmarks/revocation_latency.py
#: --at-once): 2 halve the p95 latency of a revocation and better, 4 reduce it by two fifths, and the checks a second
#: stay the same. A check is one round trip: over a network of 1 ms, 2 allow some 1,500 checks a second of one caller,
#: more than the CPU of a process can do.
AT_ONCE = 2

#: If the cache evicts a semaphore that is in use, a few extra threads pass. That is harmless.
_semaphores: BoundedCache[threading.Semaphore] = BoundedCache()


@contextmanager
def slot(names: tuple[str, ...]) -> Iterator[None]:
    """Run the block, which enters the gates of the caller with these names, in a slot of the caller's semaphore.

    Raises ``Busy`` (503) after ``LOCK_TIMEOUT``. Needs a transaction. A transaction that may hold locks does not wait
    here, since PostgreSQL could not detect a deadlock at the semaphore.
    """
    if database.may_hold_locks():
        yield
        return
    slots = _semaphores.get(names)
    if slots is None:
        slots = threading.Semaphore(AT_ONCE)
        _semaphores.put(names, slots)
    if not slots.acquire(timeout=settings.LOCK_TIMEOUT):
        raise Busy
    try:
        yield
    finally:
        slots.release()
