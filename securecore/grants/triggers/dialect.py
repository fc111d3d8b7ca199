from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from django.db.backends.base.base import BaseDatabaseWrapper

#: Every trigger's name begins with it.
PREFIX = "securecore_"


@dataclass(frozen=True)
class Rule:
    """Run ``statements`` after ``event`` on a row of ``table`` where ``when`` is true; both may say OLD and NEW."""

    name: str
    table: str
    event: Literal["INSERT", "UPDATE", "DELETE"]
    when: str
    statements: tuple[str, ...]


class Dialect(ABC):
    """What the databases say differently."""

    #: Not equal, where two nulls are equal.
    differs: str
    #: This instant, as Django stores it.
    now: str
    #: Whether ``manage.py flush`` passes by a trigger that refuses to delete a row.
    can_keep_rows: bool

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    @abstractmethod
    def lock(self, name: str) -> tuple[str, ...]:
        """Statements that close the gate of the principal which the expression ``name`` is."""

    @abstractmethod
    def count(self, names: str) -> tuple[str, ...]:
        """Statements that move on the epochs of the principals that the query ``names`` selects as ``name``."""

    @abstractmethod
    def refuse(self, text: str) -> tuple[str, ...]:
        """Statements that fail with ``text``, as an ``IntegrityError`` of Django's."""

    @abstractmethod
    def group_key(self, name: str) -> str:
        """The primary key of the group that the expression ``name`` names, or null."""

    @abstractmethod
    def changed(self, columns: Sequence[str]) -> str:
        """The condition that one of these columns changed; a column that was dropped since did not."""

    @abstractmethod
    def create(self, rule: Rule) -> list[str]: ...

    @abstractmethod
    def drop(self, table: str, name: str) -> list[str]: ...

    @abstractmethod
    def installed(self) -> dict[tuple[str, str], str]:
        """Table and name of every trigger of ours that is there and active, with its text."""

    @abstractmethod
    def expected(self, wanted: Iterable[Rule]) -> dict[tuple[str, str], str]:
        """What ``installed()`` would say if these were."""
