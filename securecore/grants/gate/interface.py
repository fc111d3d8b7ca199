"""The interface of the gates: the operations of a check, and those of a change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from securecore.database import BoundStatement, Rows
from securecore.database.functions import BoundFunction


class Gates(ABC):
    """The gates of all principals on one connection (Note [Gates] in ``securecore.grants.gate``).

    Each method needs the outermost transaction, and its locks end with that transaction. Each limits the waits of the
    transaction to ``LOCK_TIMEOUT``, and raises the error of the database after that time.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    @abstractmethod
    def enter(self, names: Collection[str], group_names: Collection[str], query: BoundFunction) -> Rows:
        """Wait for changes of these principals, let no other change begin, then run ``query`` and return its rows.

        ``names`` are the caller's own names, ``group_names`` its groups and roles. Raises ``Misuse`` where ``query``
        would read an old permission, or where no lock exists.
        """

    @abstractmethod
    def enter_also(self, group_names: Collection[str]) -> bool:
        """Enter the gates of more groups and roles of the caller; return whether the permission must be read again."""

    @abstractmethod
    def close(self, names: Collection[str], rows: Sequence[str], statement: BoundStatement | None) -> Rows:
        """Wait for the checks of ``names``, and let no other check enter; then run ``statement``, and return its rows.

        ``rows`` are the principals that get a row lock, in the order of Note [Lock order]: ``names`` and others.
        """

    @abstractmethod
    def close_all(self) -> None:
        """Wait for all checks of all principals, and let no other check enter."""
