"""The gates by row locks, through Django's ORM, for every database with row locks. A gate lets one check in at a time.

Each principal has a row in ``securecore_gate``. A check locks the row with ``select_for_update``, and a change writes
it. A write is a lock that every engine respects, also one that spreads rows over several servers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.db.models import F, QuerySet

from securecore import database
from securecore.conf import settings
from securecore.database import BoundStatement, Rows
from securecore.database.functions import BoundFunction
from securecore.grants.gate import advisory, transaction
from securecore.grants.gate.interface import Gates
from securecore.grants.models import Gate


class RowGates(Gates):
    """A check locks the rows of the caller's own names. A change of a group or role writes the rows of its members."""

    def enter(self, names: Collection[str], group_names: Collection[str], query: BoundFunction) -> Rows:
        transaction.prepare_check(self.connection)
        for name in sorted(names):
            lock_row(name)
        return query.rows(self.connection)

    def enter_also(self, group_names: Collection[str]) -> bool:
        return False  # a change that lets the caller join one writes the caller's row, which this check has locked

    def close(self, names: Collection[str], rows: Sequence[str], statement: BoundStatement | None) -> Rows:
        if self.connection.vendor == "postgresql":  # other hosts may check by advisory locks; limits the waits too
            advisory.take_exclusive(self.connection, names)
        for name in rows:
            _write_row(name)
        return statement.rows(self.connection) if statement else []

    def close_all(self) -> None:
        advisory.close_every_gate(self.connection)


def lock_row(principal: str) -> None:
    """Lock the principal's row. A missing row is inserted, and inserted again if a purge deletes it meanwhile."""
    can_share = database.connection().features.has_select_for_no_key_update  # with readers of the row by a foreign key
    while not list(_row(principal).select_for_update(no_key=can_share)):
        _insert_row(principal)


def _write_row(principal: str) -> None:
    while not _row(principal).update(epoch=F("epoch")):
        _insert_row(principal)


def _insert_row(principal: str) -> None:
    Gate.objects.using(settings.DATABASE).bulk_create([Gate(principal=principal)], ignore_conflicts=True)


def _row(principal: str) -> QuerySet[Gate]:
    return Gate.objects.using(settings.DATABASE).filter(principal=principal)
