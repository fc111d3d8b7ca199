"""Trials of the gates: a check keeps a revocation waiting, and a revocation keeps a check waiting.

A check that has waited must also read what the revocation has committed. So the revoking transaction adds a lockout of
the principal, and the check behind it must refuse. An engine whose READ COMMITTED is a snapshot reads the old state.

Each trial uses the gate of a certificate that nobody has. The gate has one of 1,024 lock numbers, so a request of
another principal with the same number may wait for ``_PATIENCE`` seconds. If the command is killed, the purge deletes
the row of the gate at once, and that of the lockout after ``_LIFETIME`` seconds.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from concurrent.futures import wait
from functools import partial
from threading import Event
from typing import TypeVar

from securecore import clock, database, digests
from securecore.conf import settings
from securecore.deployment.concurrent_connections import LIMIT, ConcurrentConnections, limited_transaction
from securecore.deployment.trials import POSTGRESQL, Outcome, Trial, Verdict, broken, kept
from securecore.errors import LockedOut
from securecore.grants import gate
from securecore.grants.gate.advisory import AdvisoryGates
from securecore.grants.gate.interface import Gates
from securecore.grants.gate.one_writer import OneWriterGates
from securecore.grants.gate.row import RowGates
from securecore.grants.principals import certificate
from securecore.grants.query import caller_state
from securecore.models import Gate, Lockout

Result = TypeVar("Result")

#: Seconds for which one side must wait for the other, or five times its duration without the other side.
_PATIENCE = 0.15
#: Seconds for which the holder of a gate waits at most. It must outlast the wait for a connection, and then _PATIENCE.
_HOLDS = 2 * LIMIT
#: Seconds of the lockout.
_LIFETIME = 60


def gate_trial(kind: type[Gates], connections: ConcurrentConnections) -> Verdict:
    """Try both directions, and the read behind the wait. A gate that ``GATE`` does not use breaks no promise."""
    name = certificate(f"securecore_prove_{digests.new_secret()[:26]}")  # no certificate has this thumbprint
    rows, lockouts = Gate.objects.using(settings.DATABASE), Lockout.objects.using(settings.DATABASE)
    check, revocation = partial(_check, kind, name), partial(_revocation, kind, name)
    with limited_transaction():  # a pooler that refuses transactions would refuse to delete the row
        rows.create(principal=name)  # the lock of a row, and not the wait for its insert
    try:
        has_waited, _ = _behind(check, revocation, connections)
        if not has_waited:
            return _broken(kind, "a revocation returned while a check held the gate")
        has_waited, refusal = _behind(partial(_lock_out, revocation, name), check, connections)
        if not has_waited:
            return _broken(kind, "a check entered while a revocation held the gate")
        if refusal != LockedOut.code:
            return _broken(kind, "a check that waited for a revocation read the state from before it")
    finally:
        lockouts.filter(pk=name).delete()
        rows.filter(pk=name).delete()
    return kept(f"each waits for the other; GATE={settings.GATE!r}{'' if _is_used(kind) else ' does not use it'}")


def _broken(kind: type[Gates], text: str) -> Verdict:
    return (
        broken(text) if _is_used(kind) else Verdict(Outcome.UNUSED, f"{text}; GATE={settings.GATE!r} does not use it")
    )


def _is_used(kind: type[Gates]) -> bool:
    return isinstance(gate.gates(), kind)


def _check(kind: type[Gates], name: str) -> str:
    """Return the code of the refusal that the check reads behind the gate, or an empty string."""
    now = clock.now()
    query = caller_state.query((name,), ("securecore.prove",), now=now)
    return caller_state.state(kind(database.connection()).enter((name,), (), query), now=now).refusal


def _revocation(kind: type[Gates], name: str) -> None:
    kind(database.connection()).close((name,), (name,), None)


def _lock_out(revocation: Callable[[], None], name: str) -> None:
    revocation()
    now = clock.now()
    Lockout.objects.using(settings.DATABASE).create(
        subject=name, reason="securecore_prove", locked_at=now, expires_at=now + dt.timedelta(seconds=_LIFETIME)
    )


def _behind(
    first: Callable[[], object], second: Callable[[], Result], connections: ConcurrentConnections
) -> tuple[bool, Result]:
    """Say whether ``second`` waits while the transaction of ``first`` is open, and return its result afterwards.

    A wait for a connection, of the server or of a pooler, is no wait for a gate. So the time begins with the first
    reply to ``second``. SQLite waits when a transaction begins, and needs no connection. Raises if either fails.
    """
    began = time.monotonic()
    _in_transaction(second)
    alone = time.monotonic() - began
    patience = min(max(_PATIENCE, 5 * alone), LIMIT - 1)  # the statement that waits ends after LIMIT
    if patience < 2 * alone:
        raise TimeoutError(f"a check takes {alone:.1f} s, too long to tell it from a wait")
    has_entered, has_begun, may_leave = Event(), Event(), Event()

    def hold() -> None:
        has_entered.set()
        may_leave.wait(_HOLDS)

    holder = connections.start(1, lambda: _in_transaction(first, then=hold))
    try:
        while not has_entered.wait(0.01):
            if holder.done():
                holder.result()
        waiter = connections.start(2, lambda: _in_transaction(second, before=has_begun.set))
        if database.connection().vendor == "postgresql":
            started = time.monotonic()
            while not (has_begun.wait(0.01) or waiter.done()):
                if time.monotonic() - started > LIMIT:
                    raise TimeoutError("no second connection beside one in a transaction: is the pool too small?")
        has_waited = not wait([waiter], patience).done
    finally:
        may_leave.set()
        wait([holder], LIMIT)  # its lockout must not commit behind the deletion of the row
    holder.result(_HOLDS)
    return has_waited, waiter.result(_HOLDS)


def _in_transaction(
    operation: Callable[[], Result],
    *,
    before: Callable[[], None] = lambda: None,
    then: Callable[[], None] = lambda: None,
) -> Result:
    with limited_transaction():
        before()
        result = operation()
        then()
    return result


TRIALS = (
    Trial("P501", "The gate by advisory locks holds", partial(gate_trial, AdvisoryGates), POSTGRESQL),
    Trial("P502", "The gate by row locks holds", partial(gate_trial, RowGates), POSTGRESQL),
    Trial("P503", "The gate of one writer holds", partial(gate_trial, OneWriterGates), ("sqlite",)),
)
