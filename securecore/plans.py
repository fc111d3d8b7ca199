"""What one psycopg connection has prepared, run outside of transactions without a cursor, which costs as much as libpq.

Imported only where ``DATABASES`` names PostgreSQL by psycopg 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from typing import Any

from psycopg import Connection, Error, RawCursor
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.generators import execute
from psycopg.pq import ExecStatus

#: PostgreSQL: a migration has changed a column's type, or somebody has deallocated what we had prepared.
_GONE = ("0A000", "26000")
#: A connection has no more plans than this. A project needs fewer, unless its user manager writes SQL of its own.
_MOST = 64


@dataclass(frozen=True, slots=True)
class _Plan:
    name: bytes
    #: A ``Transformer`` that has looked up, once, which loader reads which of its columns.
    columns: Any


class Plans:
    """The plans of ``connection``. They go with it."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection
        self._parameters = Transformer(connection)
        self._plans: dict[tuple[bytes, Any], _Plan] = {}
        self._numbers = count(1)
        #: To make a cursor takes a sixth of the time of a statement.
        self._cursor = RawCursor(connection)

    def rows(self, query: bytes, values: list[Any]) -> list[tuple[Any, ...]] | None:
        """Run ``query``, whose parameters are ``$1`` and so on. Returns None, once, if its plan is gone, and the query
        may be asked again. Raises psycopg's errors.

        In a transaction psycopg's own cursor runs it: that begins one, and knows what psycopg has deallocated, which
        it does with everybody's plans after a rollback. A plan that is gone would break the transaction.
        """
        if not self.connection.autocommit:
            return list(self._cursor.execute(query, values, prepare=True).fetchall())
        return self._planned(query, values)

    def _planned(self, query: bytes, values: list[Any]) -> list[tuple[Any, ...]] | None:
        connection, parameters = self.connection, self._parameters
        with connection.lock:
            dumped = parameters.dump_sequence(values, [PyFormat.AUTO] * len(values))
            # A plan is for parameters of certain types, and a number's depends on its size.
            key = query, parameters.types
            plan = self._plans.get(key) or self._prepared(*key)
            try:
                connection.pgconn.send_query_prepared(plan.name, dumped, parameters.formats)
                result = self._result()
            except Error as error:
                if error.sqlstate not in _GONE:
                    raise
                del self._plans[key]
                return None
            plan.columns.set_pgresult(result, set_loaders=False)
            found: list[tuple[Any, ...]] = plan.columns.load_rows(0, result.ntuples, tuple)
            return found

    def _prepared(self, query: bytes, types: Any) -> _Plan:
        pgconn = self.connection.pgconn
        if len(self._plans) == _MOST:
            oldest = self._plans.pop(next(iter(self._plans)))
            pgconn.send_query(b"DEALLOCATE " + oldest.name)
            self._result()
        # Behind a pooler by mistake, the plan of this name on another server must not be that of another query.
        name = f"securecore_{sha256(query).hexdigest()[:32]}_{next(self._numbers)}"
        plan = _Plan(name.encode(), Transformer(self.connection))
        pgconn.send_prepare(plan.name, query, types)
        self._result()
        pgconn.send_describe_prepared(plan.name)
        plan.columns.set_pgresult(self._result())
        self._plans[query, types] = plan
        return plan

    def _result(self) -> Any:
        """Wait for it as psycopg does, with Ctrl-C and gevent. Raises what it says."""
        (result,) = self.connection.wait(execute(self.connection.pgconn))
        if result.status == ExecStatus.FATAL_ERROR:
            raise error_from_result(result, self._parameters.encoding)
        return result
