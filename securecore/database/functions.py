"""Functions of PostgreSQL for the statements that securecore runs for every request: the server keeps their plans.

Note [Plans live in PostgreSQL]
    With Django's default settings PostgreSQL plans each statement anew, and behind most poolers a client may not
    prepare statements. Planning the one query of a request takes longer than running it. PostgreSQL plans the
    statements of a PL/pgSQL function once for each session. So securecore calls a function with the same text: less
    than half of the time of the plain statement, without any setting.

    A function has one parameter, an array of texts, and declares a variable of the right type for each text. To bind
    thirteen values one by one took 80 of 350 microseconds in Django's cursor and in the planner, to bind one array 23.

    ``migrate`` creates the functions (``function_installation``), since the role of the application need not be allowed
    to create anything. The name of a function ends with a digest of its text, so two versions of securecore work side
    by side during a deployment. ``migrate`` marks a function that this version does not call, and drops it 30 days
    later. Where a function is missing, the plain statement does the same (securecore.W706 reports it). SQLite runs
    plain statements.

    The plan is always the generic one (``plan_cache_mode``). Otherwise PostgreSQL may find that a plan for the values
    of each call costs less to run, and plan anew for each call.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore.database.arrays import array_literal
from securecore.database.callable_functions import PREFIX, forget_callable, is_callable
from securecore.database.statements import Rows, Statement
from securecore.errors import Busy

#: PostgreSQL: undefined_function, insufficient_privilege, and internal_error for a function that is dropped between the
#: analysis and the run of its call.
_CANNOT_CALL = ("42883", "42501", "XX000")
#: A function casts the user's columns to the types of its creation, and a migration has since given a column values
#: without such a cast: cannot_coerce, numeric_value_out_of_range, invalid_datetime_format, datetime_field_overflow and
#: invalid_text_representation.
_OTHER_COLUMNS = ("42846", "22003", "22007", "22008", "22P02")

#: The text form of each type of parameter, which PostgreSQL reads as the SQL type of the parameter.
_AS_TEXT: dict[type, Callable[[Any], str | None]] = {
    type(None): lambda _: None,
    str: str,
    int: str,
    bool: str,
    UUID: str,
    dt.datetime: str,
    list: array_literal,
    bytes: lambda value: f"\\x{value.hex()}",
}

# Without -1 the name of "char(n)" is "character" and that of "bit(n)" is "bit", which CAST cuts to one character.
_TYPE_NAMES = "SELECT format_type(oid, -1) FROM unnest(%s::oid[]) WITH ORDINALITY AS given (oid, place) ORDER BY place"


@dataclass(frozen=True, eq=False)
class Function:
    """A SELECT, or an INSERT with ``RETURNING 1``, that PostgreSQL plans once for each session.

    ``job`` is a word for the name of the function, for example ``gate``. ``query`` names its parameters
    ``%(name)s``; ``parameters`` gives the SQL type of each. ``first`` are SELECT statements that run before ``query``,
    for their locks: ``query`` then sees the commits that they waited for, as in READ COMMITTED. ``columns`` are the SQL
    types of those columns that the project declares: where one changes, the function has another name.
    """

    job: str
    query: str
    parameters: Mapping[str, str]
    first: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        job: str,
        query: str,
        types: Mapping[str, str],
        first: tuple[str, ...] = (),
        columns: tuple[str, ...] = (),
    ) -> Function:
        """Return a function of those parameters in ``types`` that its statements name."""
        used = dict.fromkeys(re.findall(r"%\((\w+)\)s", " ".join((*first, query))))
        return cls(job, query, {name: _without_length(types.get(name, "text")) for name in used}, first, columns)

    @cached_property
    def name(self) -> str:
        text = self._definition("", self.columns)
        return f"{PREFIX}{self.job}_{sha256(text.encode()).hexdigest()[:16]}"

    @cached_property
    def call(self) -> str:
        # Without the CAST, PostgreSQL prefers a function of this name whose parameter is a text, in any schema.
        return f"SELECT * FROM {self.name}(CAST(%s AS text[]))"  # noqa: S608

    def rows(self, connection: BaseDatabaseWrapper, parameters: Mapping[str, Any]) -> Rows:
        """Return the rows of ``query``, by one round trip where the function is installed.

        ``parameters`` have the form of the database (``get_db_prep_value``). A parameter without a text form, for
        example a key of a project's own type, needs the plain statements. Raises ``Busy`` (503) if another process
        dropped the function or changed its columns during a transaction; the next call runs the plain statements.
        """
        texts = self._texts(parameters) if is_callable(self.name, connection) else None
        if texts is not None:
            try:
                return self._called(connection, texts)
            except DatabaseError as error:
                if getattr(error.__cause__, "sqlstate", None) not in (*_CANNOT_CALL, *_OTHER_COLUMNS):
                    raise
                forget_callable(connection)
                if not connection.get_autocommit():
                    raise Busy from error
        for statement in self.first:
            Statement(statement).rows(connection, parameters)
        return Statement(self.query).rows(connection, parameters)

    def _texts(self, parameters: Mapping[str, Any]) -> str | None:
        values = [parameters[name] for name in self.parameters]
        if not all(type(value) in _AS_TEXT for value in values):
            return None
        return array_literal([_AS_TEXT[type(value)](value) for value in values])

    def _called(self, connection: BaseDatabaseWrapper, texts: str) -> Rows:
        with connection.cursor() as cursor:
            cursor.execute(self.call, [texts])
            return list(cursor.fetchall())

    def bind(self, parameters: Mapping[str, Any]) -> BoundFunction:
        return BoundFunction(self, parameters)

    def definition(self, types: Sequence[str]) -> str:
        """Return the CREATE FUNCTION of a function with columns of these ``types``."""
        return self._definition(self.name, types)

    @property
    def _is_insert(self) -> bool:
        return self.query.startswith("INSERT")

    def _definition(self, name: str, types: Sequence[str]) -> str:
        returned = ", ".join(f"result_{number} {each}" for number, each in enumerate(types))
        given = "".join(
            f"given_{parameter} {each} := given[{place}]; "
            for place, (parameter, each) in enumerate(self.parameters.items(), start=1)
        )
        locks = "".join(f"PERFORM {_in_function(each).strip().removeprefix('SELECT ')}; " for each in self.first)
        query = _in_function(self.query) if self._is_insert else self._cast_query(types)
        # A column of the user may have the name of a variable. The query names such a column with its table.
        body = f"#variable_conflict use_variable\nDECLARE {given}BEGIN {locks}RETURN QUERY {query}; END"
        return (
            f"CREATE FUNCTION {name}(given text[]) RETURNS TABLE ({returned}) LANGUAGE plpgsql "
            f"{'VOLATILE' if self.first or self._is_insert else 'STABLE'} ROWS 1 "
            "SET plan_cache_mode = force_generic_plan "
            f"AS $securecore$ {body} $securecore$"
        )

    def _cast_query(self, types: Sequence[str]) -> str:
        """Return the query with its columns cast to ``types``.

        The cast keeps the function right after a migration changed the type of a column, until ``migrate`` ends.
        """
        columns = [f"column_{number}" for number in range(len(types))]
        cast = ", ".join(f"CAST({column} AS {each})" for column, each in zip(columns, types, strict=True))
        return f"SELECT {cast} FROM ({_in_function(self.query)}) selected ({', '.join(columns)})"  # noqa: S608

    def column_types(self, connection: BaseDatabaseWrapper) -> list[str]:
        """Return the SQL types of the columns of ``query``, as this database has them."""
        if self._is_insert:
            return ["integer"]
        nulls = re.sub(r"%\((\w+)\)s", lambda match: f"CAST(NULL AS {self.parameters[match[1]]})", self.query)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM ({nulls.replace('%%', '%')}) selected LIMIT 0")  # noqa: S608
            oids = [column.type_code for column in cursor.description]
            cursor.execute(_TYPE_NAMES, [oids])
            return [name for (name,) in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class BoundFunction:
    """A function with the values of its parameters, for one run."""

    function: Function
    parameters: Mapping[str, Any]

    def rows(self, connection: BaseDatabaseWrapper) -> Rows:
        """Return the rows of the query."""
        return self.function.rows(connection, self.parameters)


def _without_length(sql_type: str) -> str:
    """Return ``sql_type`` without its length: ``varchar`` for ``varchar(40)``.

    A variable of ``varchar(40)`` raises for the text of a longer name, for example of a user that does not exist. A
    comparison in the plain statement finds no row for it.
    """
    base = re.sub(r"\s*\([\d, ]+\)", "", sql_type)
    return "bpchar" if base in ("char", "character") else base


def _in_function(statement: str) -> str:
    return re.sub(r"%\((\w+)\)s", r"given_\1", statement).replace("%%", "%")
