"""Trials of the gates: a check keeps a revocation waiting, and a revocation keeps a check waiting.

Each trial uses the gate of a certificate that nobody has. The gate has one of 1,024 lock numbers, so a request of
another principal with the same number may wait for ``_PATIENCE`` seconds. If the command is killed, the purge deletes
the row of the gate.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import wait
from functools import partial
from threading import Event

from securecore import clock, database, digests
from securecore.conf import settings
from securecore.deployment.concurrent_connections import LIMIT, ConcurrentConnections, limited_transaction
from securecore.deployment.trials import POSTGRESQL, Outcome, Trial, Verdict, broken, kept
from securecore.grants import gate
from securecore.grants.gate.advisory import AdvisoryGates
from securecore.grants.gate.interface import Gates
from securecore.grants.gate.one_writer import OneWriterGates
from securecore.grants.gate.row import RowGates
from securecore.grants.principals import certificate
from securecore.grants.query import caller_state
from securecore.models import Gate

#: Seconds for which one side must wait for the other; at least five times its duration without the other side.
_PATIENCE = 0.15


def gate_trial(kind: type[Gates], connections: ConcurrentConnections) -> Verdict:
    """Try both directions. A gate that ``GATE`` does not use breaks no promise."""
    name = certificate(f"securecore_prove_{digests.new_secret()[:26]}")  # no certificate has this thumbprint
    rows = Gate.objects.using(settings.DATABASE)
    check, revocation = partial(_check, kind, name), partial(_revocation, kind, name)
    with limited_transaction():  # a pooler that refuses transactions would refuse to delete the row
        rows.create(principal=name)  # the lock of a row, and not the wait for its insert
    try:
        if not _waits(revocation, check, connections):
            return _broken(kind, "a revocation returned while a check held the gate")
        if not _waits(check, revocation, connections):
            return _broken(kind, "a check entered while a revocation held the gate")
    finally:
        rows.filter(pk=name).delete()
    return kept(f"each waits for the other; GATE={settings.GATE!r}{'' if _is_used(kind) else ' does not use it'}")


def _broken(kind: type[Gates], text: str) -> Verdict:
    return (
        broken(text) if _is_used(kind) else Verdict(Outcome.UNUSED, f"{text}; GATE={settings.GATE!r} does not use it")
    )


def _is_used(kind: type[Gates]) -> bool:
    return isinstance(gate.gates(), kind)


def _check(kind: type[Gates], name: str) -> None:
    query = caller_state.query((name,), ("securecore.prove",), now=clock.now())
    kind(database.connection()).enter((name,), (), query)


def _revocation(kind: type[Gates], name: str) -> None:
    kind(database.connection()).close((name,), (name,), None)


def _waits(second: Callable[[], None], first: Callable[[], None], connections: ConcurrentConnections) -> bool:
    """Say whether ``second`` waits while the transaction of ``first`` is open. Raises if it fails afterwards."""
    began = time.monotonic()
    _in_transaction(second)
    patience = max(_PATIENCE, 5 * (time.monotonic() - began))
    has_entered, may_leave = Event(), Event()

    def hold() -> None:
        has_entered.set()
        may_leave.wait(LIMIT)

    holder = connections.start(1, lambda: _in_transaction(first, hold))
    try:
        while not has_entered.wait(0.01):
            if holder.done():
                holder.result()
        waiter = connections.start(2, lambda: _in_transaction(second))
        has_waited = not wait([waiter], patience).done
    finally:
        may_leave.set()
    for side in (holder, waiter):
        side.result(2 * LIMIT)
    return has_waited


def _in_transaction(operation: Callable[[], None], then: Callable[[], None] = lambda: None) -> None:
    with limited_transaction():
        operation()
        then()


TRIALS = (
    Trial("P501", "The gate by advisory locks holds", partial(gate_trial, AdvisoryGates), POSTGRESQL),
    Trial("P502", "The gate by row locks holds", partial(gate_trial, RowGates), POSTGRESQL),
    Trial("P503", "The gate of one writer holds", partial(gate_trial, OneWriterGates), ("sqlite",)),
)
