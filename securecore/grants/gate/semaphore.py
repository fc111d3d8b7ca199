"""The semaphore before the gate: it limits the concurrent checks of one caller in one process.

Checks that wait at the gate delay revocations in two ways. PostgreSQL wakes the waiting checks before the revoking
session receives its COMMIT reply. And on a busy machine the next revocation waits for each check that got the lock
before it. A thread that waits at the semaphore delays no database session. The semaphore decides no
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
#: --at-once): a limit of 2 reduces the p95 latency of a revocation by half or more, a limit of 4 by two fifths. The
#: number of checks a second stays the same. A check is one round trip. Over a network of 1 ms a limit of 2 allows some
#: 1,500 checks a second of one caller, more than the CPU of a process can do.
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
