"""The gate: a row lock that makes commits of one principal wait for each other.

Isolation levels do not help: even SERIALIZABLE lets an effect commit after the revocation that it read past. Only a
lock does. The lock and the reading must be two statements, since one statement that waited still sees what was before
the wait.
"""

from __future__ import annotations

from securecore import db
from securecore.conf import settings
from securecore.errors import Busy
from securecore.grants.models import Gate


def take_gate(principal: str) -> None:
    """Hold ``principal``'s gate until the transaction ends. Needs the outermost transaction; raises ``Busy`` (503)."""
    with db.bounded_wait(Busy):
        if not _lock(principal):
            Gate.objects.using(settings.DATABASE).bulk_create([Gate(principal=principal)], ignore_conflicts=True)
            _lock(principal)


def _lock(principal: str) -> bool:
    # FOR NO KEY UPDATE where there is such a thing. Never FOR SHARE: with it, a client that keeps requests in flight
    # kept its own revocation waiting for 5 to 10 seconds. SQLite has no row locks and needs none: BEGIN IMMEDIATE
    # lets one writer in at a time (securecore.E601 demands it).
    no_key = db.connection().features.has_select_for_no_key_update
    gate = Gate.objects.using(settings.DATABASE).select_for_update(no_key=no_key).filter(principal=principal)
    return gate.first() is not None
