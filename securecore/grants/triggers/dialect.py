"""The interface between the rules of the triggers and the SQL of a database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from django.db.backends.base.base import BaseDatabaseWrapper

#: Every trigger's name begins with this prefix, so that ``remove()`` finds securecore's triggers.
PREFIX = "securecore_"

Event = Literal["INSERT", "UPDATE", "DELETE"]


@dataclass(frozen=True)
class Rule:
    """A trigger: after ``event`` on a row of ``table`` where ``when`` is true, run ``statements``.

    ``when`` and ``statements`` may use OLD and NEW.
    """

    name: str
    table: str
    event: Event
    when: str
    statements: tuple[str, ...]


class Dialect(ABC):
    """The SQL that differs between the databases."""

    #: The operator "not equal" for which two nulls are equal.
    differs: str
    #: An expression of the current instant, in the form in which Django stores an instant.
    now: str
    #: Whether a trigger may refuse to delete a row. ``manage.py flush`` must still work.
    can_keep_rows: bool

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    @abstractmethod
    def lock(self, name: str) -> tuple[str, ...]:
        """Return statements that close the gate of the principal ``name``, an SQL expression."""

    @abstractmethod
    def count(self, names: str) -> tuple[str, ...]:
        """Return statements that increase the epoch of each principal in the column ``name`` of the query ``names``."""

    @abstractmethod
    def insert_gates(self, names: str) -> list[str]:
        """Return statements that insert the gates which the trigger of a DELETE would count but does not insert."""

    @abstractmethod
    def refuse(self, text: str) -> tuple[str, ...]:
        """Return statements that fail with ``text``, which Django raises as an ``IntegrityError``."""

    @abstractmethod
    def group_key(self, name: str) -> str:
        """Return an expression of the primary key of the group ``name``, null for a name that is no group."""

    @abstractmethod
    def changed(self, columns: Sequence[str]) -> str:
        """Return the condition that one of these columns changed. A column dropped since counts as unchanged."""

    @abstractmethod
    def create(self, rule: Rule) -> list[str]:
        """Return statements that create the trigger of ``rule``."""

    @abstractmethod
    def drop(self, table: str, name: str) -> list[str]:
        """Return statements that drop the trigger ``name`` of ``table`` if it exists."""

    @abstractmethod
    def installed(self) -> dict[tuple[str, str], str]:
        """Return the text of every active trigger of securecore, by its table and name."""

    def existing(self, rules: Sequence[Rule]) -> set[str]:
        """Return the tables of these rules that the database has."""
        return set(self.connection.introspection.table_names()).intersection(rule.table for rule in rules)

    @abstractmethod
    def expected(self, wanted: Iterable[Rule]) -> dict[tuple[str, str], str]:
        """Return the result that ``installed()`` has once the triggers of these rules are installed."""
