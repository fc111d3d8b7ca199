"""Leases: a process may use the result of the one query again for ``LEASE_MS``, and a revocation outlasts all leases.

A process may use a result until ``LEASE_MS`` after the read *began*. A revocation commits, waits ``LEASE_MS``, and only
then returns. A result without the revocation began before the commit, so its lease is over when the revocation returns:
no request that starts later uses that result, on any host. Each process measures a duration on its own clock. Hosts
send each other no message, and their clocks need not agree.
"""

from __future__ import annotations

import time

from django.db import connections, transaction

from securecore.conf import settings

#: CLOCK_BOOTTIME counts on while the machine sleeps; the clock of ``time.monotonic`` stops. A lease must end during
#: sleep too.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock() -> float:
    """Return seconds since a fixed instant, with those in which this process was stopped or its machine slept."""
    return time.clock_gettime(_CLOCK)


def seconds() -> float:
    """Return the length of a lease in seconds from the beginning of its read; 0 means no leases."""
    return settings.LEASE_MS / 1000


def outlast() -> None:
    """Wait until every lease from before this revocation is over: at once, or after the commit of the transaction.

    Each function that revokes calls this, inside its transaction or after its statement.
    """
    if settings.LEASE_MS and not _will_wait():
        transaction.on_commit(_wait, using=settings.DATABASE)


def _wait() -> None:
    # A time daemon slews a clock, chrony by at most a twelfth of its speed. If the clock of the lease is slow by a
    # twelfth and this clock fast by a twelfth, one second of the lease takes 1.18 seconds here.
    time.sleep(seconds() * 1.2 + 0.005)


def _will_wait() -> bool:
    # If the savepoint of a revocation rolls back, Django drops its hook, and nothing is left to wait for; see Django's
    # savepoint_rollback().
    return any(hook is _wait for _, hook, *_ in connections[settings.DATABASE].run_on_commit)
