"""The gates on SQLite, where one transaction writes at a time: a transaction that began IMMEDIATE holds every gate."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from securecore.database import BoundStatement, Rows
from securecore.database.functions import BoundFunction
from securecore.errors import Misuse
from securecore.grants.gate.interface import Gates


class OneWriterGates(Gates):
    """Refuses a transaction that did not begin IMMEDIATE, and locks nothing more."""

    def enter(self, names: Collection[str], group_names: Collection[str], query: BoundFunction) -> Rows:
        self._require_immediate()
        return query.rows(self.connection)

    def enter_also(self, group_names: Collection[str]) -> bool:
        return False

    def close(self, names: Collection[str], rows: Sequence[str], statement: BoundStatement | None) -> Rows:
        self._require_immediate()
        return statement.rows(self.connection) if statement else []

    def close_all(self) -> None:
        self._require_immediate()

    def _require_immediate(self) -> None:
        if getattr(self.connection, "transaction_mode", None) not in ("IMMEDIATE", "EXCLUSIVE"):
            raise Misuse(
                "SQLite has no row locks: only a transaction that begins IMMEDIATE keeps a check and its effect "
                "together. Set OPTIONS = {'transaction_mode': 'IMMEDIATE'} in DATABASES (securecore.E601)."
            )
