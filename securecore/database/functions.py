"""Functions of PostgreSQL for the statements that securecore runs for every request: the server keeps their plans.

Note [Plans live in PostgreSQL]
    With Django's default settings PostgreSQL plans each statement anew, and behind most poolers a client may not
    prepare statements. Planning the one query of a request takes longer than running it. PostgreSQL plans the
    statements of a PL/pgSQL function once for each session. So securecore calls a function with the same text: 0.43 of
    the time of the plain statement, without any setting.

    ``migrate`` creates the functions, since the role of the application need not be allowed to create anything. The
    name of a function ends with a digest of its text, so two versions of securecore work side by side during a
    deployment. ``migrate`` marks a function that this version does not call, and drops it ``KEPT`` days later. Where a
    function is missing, the plain statement does the same (securecore.W706 reports it). SQLite runs plain statements.

    The plan is always the generic one (``plan_cache_mode``). Otherwise PostgreSQL may find that a plan for the values
    of each call costs less to run, and plan anew for each call.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, NamedTuple

from django.db import ProgrammingError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore import clock
from securecore.caches import BoundedCache
from securecore.database.locks import MIGRATE, wait_for_turn
from securecore.database.statements import BoundStatement, Rows
from securecore.errors import Busy

#: Every function's name begins with this prefix.
PREFIX = "securecore_"
#: The days that ``migrate`` keeps a function which this version does not call. A deployment takes hours, not days.
KEPT = 30
#: PostgreSQL: undefined_function, and insufficient_privilege.
_CANNOT_CALL = ("42883", "42501")
#: Seconds after which a process looks for a missing function again: ``migrate`` may have created it.
LOOK_AGAIN = 60
_UNUSED_SINCE = "securecore: unused since "

_VISIBLE = """
    SELECT proname FROM pg_proc
    WHERE starts_with(proname, %s) AND prorettype <> 'trigger'::regtype
    AND pg_function_is_visible(oid) AND has_function_privilege(oid, 'EXECUTE')
"""
_INSTALLED = """
    SELECT proname, oid::regprocedure::text, obj_description(oid, 'pg_proc'), ARRAY(
        SELECT format_type(argument.type, -1)
        FROM unnest(proallargtypes, proargmodes) WITH ORDINALITY argument (type, mode, place)
        WHERE mode = 't' ORDER BY place)
    FROM pg_proc
    WHERE starts_with(proname, %s) AND prorettype <> 'trigger'::regtype
    AND pronamespace = current_schema()::regnamespace
"""
# Without -1 the name of "char(n)" is "character" and that of "bit(n)" is "bit", which CAST cuts to one character.
_TYPE_NAMES = "SELECT format_type(oid, -1) FROM unnest(%s::oid[]) WITH ORDINALITY AS given (oid, place) ORDER BY place"


@dataclass(frozen=True, eq=False)
class Function:
    """A SELECT that PostgreSQL plans once for each session.

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
        return cls(job, query, {name: types.get(name, "text") for name in used}, first, columns)

    @cached_property
    def name(self) -> str:
        text = self._definition("", self.columns)
        return f"{PREFIX}{self.job}_{sha256(text.encode()).hexdigest()[:16]}"

    @cached_property
    def call(self) -> str:
        # Without a CAST PostgreSQL reads a small number as an integer, and finds no function with a smallint parameter.
        given = ", ".join(f"CAST(%s AS {each})" for each in self.parameters.values())
        return f"SELECT * FROM {self.name}({given})"  # noqa: S608

    def rows(self, connection: BaseDatabaseWrapper, parameters: Mapping[str, Any]) -> Rows:
        """Return the rows of ``query``, by one round trip where the function is installed.

        ``parameters`` have the form of the database (``get_db_prep_value``). Raises ``Busy`` (503) if another process
        dropped the function during a transaction; the next call runs the plain statements.
        """
        if is_callable(self.name, connection):
            try:
                return _rows(connection, self.call, [parameters[name] for name in self.parameters])
            except ProgrammingError as error:
                if getattr(error.__cause__, "sqlstate", None) not in _CANNOT_CALL:
                    raise
                forget_callable(connection)
                if connection.in_atomic_block:
                    raise Busy from error
        for statement in self.first:
            _rows(connection, statement, parameters)
        return _rows(connection, self.query, parameters)

    def bind(self, parameters: Mapping[str, Any]) -> BoundStatement:
        return BoundStatement(self, parameters)

    def definition(self, types: Sequence[str]) -> str:
        """Return the CREATE FUNCTION of a function whose columns have these ``types``."""
        return self._definition(self.name, types)

    def _definition(self, name: str, types: Sequence[str]) -> str:
        columns = [f"column_{number}" for number in range(len(types))]
        # A cast keeps the function right after a migration changed the type of a column, until ``migrate`` ends.
        cast = ", ".join(f"CAST({column} AS {each})" for column, each in zip(columns, types, strict=True))
        returned = ", ".join(f"result_{number} {each}" for number, each in enumerate(types))
        given = ", ".join(f"given_{parameter} {each}" for parameter, each in self.parameters.items())
        locks = "".join(f"PERFORM {_in_function(each).strip().removeprefix('SELECT ')}; " for each in self.first)
        return (
            f"CREATE FUNCTION {name}({given}) RETURNS TABLE ({returned}) LANGUAGE plpgsql "  # noqa: S608
            f"{'VOLATILE' if self.first else 'STABLE'} ROWS 1 SET plan_cache_mode = force_generic_plan "
            f"AS $securecore$ BEGIN {locks}RETURN QUERY SELECT {cast} FROM ({_in_function(self.query)}) "
            f"selected ({', '.join(columns)}); END $securecore$"
        )

    def column_types(self, connection: BaseDatabaseWrapper) -> list[str]:
        """Return the SQL types of the columns of ``query``, as this database has them."""
        nulls = re.sub(r"%\((\w+)\)s", lambda match: f"CAST(NULL AS {self.parameters[match[1]]})", self.query)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM ({nulls.replace('%%', '%')}) selected LIMIT 0")  # noqa: S608
            oids = [column.type_code for column in cursor.description]
            cursor.execute(_TYPE_NAMES, [oids])
            return [name for (name,) in cursor.fetchall()]


class _Known(NamedTuple):
    """The functions of a database that the role of its connections can call, and when to look again for others."""

    names: frozenset[str]
    until: float


#: By alias and name of the database. A name stays known, since ``migrate`` keeps functions that are in use.
_known: BoundedCache[_Known] = BoundedCache(size=16, seconds=lambda: math.inf)


def is_callable(name: str, connection: BaseDatabaseWrapper) -> bool:
    """Say whether the role of ``connection`` can call this function. Looks for a missing one once a minute."""
    if connection.vendor != "postgresql":
        return False
    known = _known.get(_key(connection))
    if known is None or (name not in known.names and time.monotonic() >= known.until):
        return name in _look(connection)
    return name in known.names


def missing(wanted: Collection[Function], connection: BaseDatabaseWrapper) -> list[str]:
    """Return the names of the wanted functions that the role of ``connection`` cannot call now."""
    if connection.vendor != "postgresql":
        return []
    return sorted({function.name for function in wanted} - _look(connection))


def forget_callable(connection: BaseDatabaseWrapper) -> None:
    """Run the plain statements for a minute."""
    _known.put(_key(connection), _Known(frozenset(), time.monotonic() + LOOK_AGAIN))


def _look(connection: BaseDatabaseWrapper) -> frozenset[str]:
    names = frozenset(name for (name,) in _rows(connection, _VISIBLE, [PREFIX]))
    _known.put(_key(connection), _Known(names, time.monotonic() + LOOK_AGAIN))
    return names


def _key(connection: BaseDatabaseWrapper) -> tuple[str, str]:
    return connection.alias, connection.settings_dict["NAME"]


def install(wanted: Collection[Function], connection: BaseDatabaseWrapper) -> None:
    """Create the wanted functions, and drop those that no version has wanted for ``KEPT`` days.

    Needs the right to create functions in the current schema, which the role of ``migrate`` has. Two ``migrate`` at
    once, for example of two containers that start, create one after the other.
    """
    if connection.vendor != "postgresql":
        return
    names = {function.name for function in wanted}
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        wait_for_turn(MIGRATE)
        installed = {row[0]: row[1:] for row in _rows(connection, _INSTALLED, [PREFIX])}
        for function in wanted:
            types = function.column_types(connection)
            call, comment, has_types = installed.get(function.name, (None, None, types))
            if call is not None and has_types != types:  # ``migrate APP`` created it before the migration of a column
                cursor.execute(f"DROP FUNCTION {call}")
                call = None
            if call is None:
                cursor.execute(function.definition(types))
            elif comment:
                cursor.execute(f"COMMENT ON FUNCTION {call} IS NULL")
        for name, (call, comment, _) in installed.items():
            if name in names:
                continue
            since = _unused_since(comment)
            if since is None:
                cursor.execute(f"COMMENT ON FUNCTION {call} IS %s", [f"{_UNUSED_SINCE}{clock.now().isoformat()}"])
            elif since < clock.now() - dt.timedelta(days=KEPT):
                cursor.execute(f"DROP FUNCTION {call}")
    _look(connection)


def _unused_since(comment: str | None) -> dt.datetime | None:
    if comment is None or not comment.startswith(_UNUSED_SINCE):
        return None
    return dt.datetime.fromisoformat(comment.removeprefix(_UNUSED_SINCE))


def _in_function(statement: str) -> str:
    return re.sub(r"%\((\w+)\)s", r"given_\1", statement).replace("%%", "%")


def _rows(connection: BaseDatabaseWrapper, statement: str, parameters: Any) -> Rows:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
