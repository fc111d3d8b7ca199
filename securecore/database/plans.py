"""Prepared statements of one psycopg connection, run without a cursor: outside of transactions, and to begin one.

A cursor costs as much time as libpq. Imported only where ``DATABASES`` names PostgreSQL by psycopg 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from typing import Any

from psycopg import Connection, Error, RawCursor, adapters
from psycopg.adapt import Loader, PyFormat, Transformer
from psycopg.errors import PipelineAborted, error_from_result
from psycopg.generators import execute, fetch_many, send
from psycopg.postgres import types
from psycopg.pq import ExecStatus, Format, PipelineStatus, TransactionStatus

#: PostgreSQL: a migration has changed a column's type, or another program has deallocated the prepared statement.
_GONE = ("0A000", "26000")
_BEGIN, _COMMIT = b"BEGIN", b"COMMIT"
#: A connection has no more plans than this. A project needs fewer, unless its user manager writes SQL of its own.
_MOST = 64


class Encoded:
    """A query with the values of its parameters as they go over the wire. Those that are new each time are last.

    It belongs to no connection, and threads may share it.
    """

    __slots__ = ("answer", "dumped", "formats", "query", "types", "values")

    def __init__(self, query: bytes, values: list[Any]) -> None:
        self.query, self.values = query, values
        #: The dumped values for a plan. In a transaction psycopg's cursor runs the query and dumps the values itself.
        self.dumped: list[Any] | None = None
        self.formats: list[Any] = []
        self.types: Any = ()
        #: The last result: the columns' types, each cell, and the rows loaded from them.
        self.answer: tuple[Any, list[bytes | None], list[tuple[Any, ...]]] = ((), [], [])


@dataclass(frozen=True, slots=True)
class _Plan:
    name: bytes
    #: A ``Transformer`` that has looked up, once, which loader reads which of its columns, and these columns' types.
    columns: Any
    types: tuple[int, ...]

    def rows(self, result: Any) -> list[tuple[Any, ...]]:
        self.columns.set_pgresult(result, set_loaders=False)
        rows: list[tuple[Any, ...]] = self.columns.load_rows(0, result.ntuples, tuple)
        return rows


class Plans:
    """The prepared statements of ``connection``. They end with the connection."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection
        #: One cursor for all statements: opening a cursor takes a sixth of the time of a statement.
        self._cursor = RawCursor(connection)
        self._cursor.adapters.register_loader("timestamptz", _instants(connection))
        self._parameters = Transformer(self._cursor)
        self._plans: dict[tuple[bytes, Any], _Plan] = {}
        self._numbers = count(1)

    def rows(
        self, encoded: Encoded, new: Sequence[Any] = (), meanwhile: Callable[[], None] | None = None
    ) -> list[tuple[Any, ...]] | None:
        """Run ``encoded`` with ``new`` in the place of its last values, and return its rows.

        If every byte is that of the last result, the same list is returned. ``meanwhile`` may be called while
        PostgreSQL works; it must run no statement. Returns None, once, if the plan is gone; then call again. Raises
        psycopg's errors.

        In a transaction psycopg's own cursor runs the query: the cursor begins the transaction, and tracks the prepared
        statements that psycopg deallocates after a rollback. A missing plan would break the transaction.
        """
        is_in_pipeline = self.connection.pgconn.pipeline_status != PipelineStatus.OFF  # the project's own
        if not self.connection.autocommit or is_in_pipeline:
            values = [*encoded.values[: len(encoded.values) - len(new)], *new]
            return list(self._cursor.execute(encoded.query, values, prepare=True).fetchall())
        with self.connection.lock:
            plan, dumped = self._plan(encoded, new)
            try:
                self.connection.pgconn.send_query_prepared(plan.name, dumped, encoded.formats)
                try:
                    if meanwhile is not None:
                        meanwhile()
                finally:
                    result = self._result()
            except Error as error:
                if error.sqlstate not in _GONE:
                    raise
                del self._plans[encoded.query, encoded.types]
                return None
            columns = range(len(plan.types))
            cells = [result.get_value(row, column) for row in range(result.ntuples) for column in columns]
            types, known, rows = encoded.answer
            if cells != known or types != plan.types:
                rows = plan.rows(result)
                encoded.answer = plan.types, cells, rows
            return rows

    def run_in_pipeline(
        self, statements: Sequence[tuple[Encoded, Sequence[Any]]], commits: bool = False
    ) -> list[list[tuple[Any, ...]]] | None:
        """Begin a transaction and run these statements in one round trip (libpq's pipeline mode).

        Each statement sees the commits from before it began, also from while the statement before it waited. With
        ``commits`` the round trip also commits.

        Returns None where that cannot be, and has done nothing then: the transaction has begun, or is no plain one, or
        a plan is gone. Raises psycopg's errors.
        """
        connection, pgconn = self.connection, self.connection.pgconn
        is_plain = (connection.isolation_level, connection.read_only, connection.deferrable) == (None, None, None)
        is_idle = (pgconn.transaction_status, pgconn.pipeline_status) == (TransactionStatus.IDLE, PipelineStatus.OFF)
        if connection.autocommit or not is_plain or not is_idle:
            return None
        with connection.lock:
            prepared = [self._plan(encoded, new) for encoded, new in statements]
            sent = [
                (plan.name, dumped, encoded.formats)
                for (plan, dumped), (encoded, _) in zip(prepared, statements, strict=True)
            ]
            beginning, *results = self._in_one_round_trip(sent, commits)
            self._check(beginning, b"BEGIN")
            for (encoded, _), result in zip(statements, results, strict=False):
                try:
                    self._check(result)
                except Error as error:
                    if error.sqlstate not in _GONE:
                        raise
                    del self._plans[encoded.query, encoded.types]
                    pgconn.send_query(b"ROLLBACK")
                    self._result()
                    return None
            if commits:
                self._check(results.pop(), b"COMMIT")
            return [plan.rows(result) for (plan, _), result in zip(prepared, results, strict=True)]

    def _in_one_round_trip(self, sent: Sequence[tuple[bytes, Any, Any]], commits: bool) -> list[Any]:
        """Return the results of BEGIN, of each prepared statement, and with ``commits`` of COMMIT. An error is a result
        too, and so is "not run" for each statement behind it: the caller has to look at every result.
        """
        pgconn = self.connection.pgconn
        pgconn.enter_pipeline_mode()
        try:
            pgconn.send_query_params(_BEGIN, None)
            for name, dumped, formats in sent:
                pgconn.send_query_prepared(name, dumped, formats)
            if commits:
                pgconn.send_query_params(_COMMIT, None)
            pgconn.pipeline_sync()
            *results, _ = self.connection.wait(_pipelined(pgconn, len(sent) + 2 + commits))
            pgconn.exit_pipeline_mode()
        except BaseException:
            # Some results may be unread, and the next statement would take them for its own.
            self.connection.close()
            raise
        return list(results)

    def _plan(self, encoded: Encoded, new: Sequence[Any]) -> tuple[_Plan, list[Any]]:
        """Return the plan of ``encoded`` and the parameters that it is run with."""
        dumped = encoded.dumped
        if dumped is None:
            parameters, values = self._parameters, encoded.values
            dumped = list(parameters.dump_sequence(values, [PyFormat.AUTO] * len(values)))
            encoded.types, encoded.formats = parameters.types, list(parameters.formats or ())
            encoded.dumped = dumped  # the last: another thread that sees it sees the rest
        # A plan is for parameters of certain types, and a number's depends on its size.
        plan = self._plans.get((encoded.query, encoded.types)) or self._prepared(encoded.query, encoded.types)
        if new:
            fixed = len(dumped) - len(new)
            dumped = [*dumped[:fixed], *self._parameters.dump_sequence(new, [PyFormat.AUTO] * len(new))]
        return plan, dumped

    def _prepared(self, query: bytes, types: Any) -> _Plan:
        pgconn = self.connection.pgconn
        if len(self._plans) == _MOST:
            oldest = self._plans.pop(next(iter(self._plans)))
            pgconn.send_query(b"DEALLOCATE " + oldest.name)
            self._result()
        # Behind a pooler by mistake, the plan of this name on another server must not be that of another query.
        name = f"securecore_{sha256(query).hexdigest()[:32]}_{next(self._numbers)}"
        pgconn.send_prepare(name.encode(), query, types)
        self._result()
        pgconn.send_describe_prepared(name.encode())
        described, columns = self._result(), Transformer(self._cursor)
        columns.set_pgresult(described)
        plan = _Plan(name.encode(), columns, tuple(described.ftype(column) for column in range(described.nfields)))
        self._plans[query, types] = plan
        return plan

    def _result(self) -> Any:
        """Wait for the result as psycopg does, with Ctrl-C and gevent. Raises its error."""
        (result,) = self.connection.wait(execute(self.connection.pgconn))
        self._check(result)
        return result

    def _check(self, result: Any, command: bytes = b"") -> None:
        """Raise psycopg's error unless PostgreSQL ran the statement; and unless it was this ``command``.

        A statement behind a failed one is not run: libpq's result for it has neither rows nor an error. A COMMIT of a
        failed transaction is answered by "ROLLBACK", and is no error for PostgreSQL.
        """
        if result.status == ExecStatus.FATAL_ERROR:
            raise error_from_result(result, self._parameters.encoding)
        is_done = result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
        if not is_done or (command and result.command_status != command):
            raise PipelineAborted(f"PostgreSQL did not run the statement: {result.status}, {result.command_status!r}.")


def _pipelined(pgconn: Any, number: int) -> Any:
    """Send the queued messages and return ``number`` results, as a generator for ``Connection.wait()``."""
    yield from send(pgconn)
    results = []
    for _ in range(number):
        (result,) = yield from fetch_many(pgconn)
        results.append(result)
    return results


def _instants(connection: Connection[Any]) -> Any:
    """Return a loader that reads an instant as Django's loader does on this connection.

    Django's loader is written in Python: for the two instants of a user it took twice as long as the rest of the row.
    """
    of_type = types["timestamptz"].oid, Format.TEXT
    registered: Any = connection.adapters.get_loader(*of_type)
    compiled: Any = adapters.get_loader(*of_type)
    if not hasattr(registered, "timezone"):  # not Django's
        return registered

    class Instants(Loader):
        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self._load = compiled(oid, context).load

        def load(self, data: Any) -> Any:
            return self._load(data).replace(tzinfo=registered.timezone)

    return Instants
