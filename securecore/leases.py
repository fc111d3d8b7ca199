"""Leases: an answer of the database may be used again for ``LEASE_MS``, and a revocation waits until none is left.

A worker may answer from what it read until L after that read *began*. A revocation commits, waits L, and only then
returns. A read that does not show the commit began before it, so its lease is over when the revocation returns: no
request that starts later can meet it, on any host. Each side measures a duration on a clock of its own. Hosts send
each other nothing, and need not agree what time it is.
"""

from __future__ import annotations

import time

from django.db import connections, transaction

from securecore.conf import settings

#: It counts on while the machine sleeps, as the clock of ``time.monotonic`` does not: a lease must not.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock() -> float:
    """Return seconds since some instant, also those for which this process was stopped or its machine slept."""
    return time.clock_gettime(_CLOCK)


def seconds() -> float:
    """Return for how long a lease is good from the beginning of its read; 0 means there are none."""
    return settings.LEASE_MS / 1000


def outlast() -> None:
    """Wait until every lease from before what was just revoked is over: now, or after the commit of the transaction.

    Everything that takes something back calls this, inside its transaction or after its statement.
    """
    if settings.LEASE_MS and not _will_wait():
        transaction.on_commit(_wait, using=settings.DATABASE)


def _wait() -> None:
    # Slewing makes clocks differ in speed, chrony's by at most a twelfth: if that of the lease is slow by as much and
    # ours fast, our second is 1.18 of theirs.
    time.sleep(seconds() * 1.2 + 0.005)


def _will_wait() -> bool:
    # A hook goes with its savepoint, and with it what that would have made wait for; see Django's savepoint_rollback().
    return any(hook is _wait for _, hook, *_ in connections[settings.DATABASE].run_on_commit)
