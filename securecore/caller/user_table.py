"""``UserTable``: the SQL of the user model for the one query, and the user objects built from its columns.

The SQL of a user's groups and permissions is in ``grants.query.auth_tables``.
"""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import connections
from django.db.models import QuerySet
from django.db.models.manager import BaseManager
from django.db.models.query import ModelIterable

from securecore import user_model
from securecore.conf import django_settings, settings

#: The immutable types of a column's value. Others, for example the list of an ArrayField, are copied for each request.
_IMMUTABLE = frozenset(
    {type(None), bool, int, float, str, bytes, Decimal, UUID, dt.date, dt.datetime, dt.time, dt.timedelta}
)


class UserTable:
    """The user model as a table of an SQL statement, with every column, also those of parent models."""

    def __init__(self, model: type[Any], database: Any) -> None:
        self.model, self.alias = model, database.alias
        fields = model._meta.concrete_fields
        # Not the default manager's queryset: the filter of the default manager is in ``condition``.
        compiler: Any = QuerySet(model, using=self.alias).order_by().query.get_compiler(connection=database)
        compiler.pre_sql_setup()
        tables, _ = compiler.get_from_clause()
        columns = [column for _, (column, _), _ in compiler.select]
        self.source = f"({' '.join(tables)})" if len(tables) > 1 else tables[0]
        self.columns = ", ".join(columns)
        self.key_index = fields.index(model._meta.pk)
        self.key = columns[self.key_index]
        #: The SQL type of a reference to a user.
        self.key_type = str(model._meta.pk.rel_db_type(database))
        #: The SQL types of the columns, as the model declares them.
        self.column_types = tuple(str(field.db_type(database)) for field in fields)
        self.is_filtered = _may_filter(model._default_manager)
        self._is_built_by_manager = _builds_other_objects(model._default_manager)
        self._attributes = [field.attname for field in fields]
        self._converters = []
        for index, field in enumerate(fields):
            column = field.get_col(model._meta.db_table)
            each = [*database.ops.get_db_converters(column), *field.get_db_converters(database)]
            self._converters += [(index, convert, column) for convert in each]

    def __len__(self) -> int:
        return len(self._attributes)

    def condition(self) -> tuple[str, dict[str, Any]]:
        """Return the filter of the project's default manager as SQL on ``key``, with its parameters.

        A manager may hide users, for example those of another tenant. Its filter may change with each request, so this
        method builds the SQL at each call. The filter of a plain manager is empty.
        """
        if not self.is_filtered:
            return "", {}
        sql, values = self.model._default_manager.using(self.alias).order_by().values("pk").query.sql_with_params()
        names = [f"manager_{number}" for number in range(len(values))]
        text = sql.replace("%%", "%%%%") % tuple(f"%({name})s" for name in names)
        return f" AND {self.key} IN ({text})", dict(zip(names, values, strict=True))

    def user(self, values: Sequence[Any]) -> Any:
        """Build the user object of these columns, equal to the result of ``QuerySet.get()``.

        ``values`` may have been read for an earlier request, so the user object gets copies of its mutable values.
        """
        complete = [value if type(value) in _IMMUTABLE else _own(value) for value in values]
        for index, convert, column in self._converters:
            complete[index] = convert(complete[index], column, connections[self.alias])
        user = self.model.from_db(self.alias, self._attributes, complete)
        if self._is_built_by_manager:
            return self.model._default_manager.using(self.alias).filter(pk=user.pk).first() or user
        return user

    def key_of(self, presented: str) -> Any:
        """Return a primary key in the form of the database, or None for a text that cannot be a key."""
        return user_model.key_of(presented, connections[self.alias], self.model._meta.pk)


def _may_filter(manager: Any) -> bool:
    """Say whether ``manager`` may filter the users of a request, for example by the time or by the tenant."""
    if getattr(manager.get_queryset, "__func__", None) is not BaseManager.get_queryset:
        return True
    return type(manager.get_queryset()).__init__ is not QuerySet.__init__


def _builds_other_objects(manager: Any) -> bool:
    """Say whether ``manager`` returns objects that no row of the model alone makes: of a child class, or annotated.

    Then the manager builds each user, by one more statement.
    """
    rows = manager.get_queryset()
    return rows._iterable_class is not ModelIterable or bool(rows.query.annotations or rows.query.extra)


def _own(value: Any) -> Any:
    """Return a deep copy of ``value``. ``copy.deepcopy`` cannot copy a memoryview, so that case is separate."""
    return memoryview(bytes(value)) if isinstance(value, memoryview) else copy.deepcopy(value)


def user_table() -> UserTable:
    """Return the table of ``AUTH_USER_MODEL`` in ``SECURECORE["DATABASE"]``."""
    return _table(django_settings.AUTH_USER_MODEL, settings.DATABASE)


@lru_cache(maxsize=4)
def _table(model: str, alias: str) -> UserTable:
    return UserTable(apps.get_model(model), connections[alias])
