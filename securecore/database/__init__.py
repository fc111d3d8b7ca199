"""Transactions, locks and statements: the operations of which the features are built.

``transactions`` opens the outermost transaction and refuses a savepoint where a lock could be lost. ``locks`` limits
each wait. ``claims`` claims a row, ``rows`` updates and deletes rows, one statement each. ``statements`` are SELECTs
written by hand, and ``functions`` lets PostgreSQL keep the plans of some. No table of a feature is named here.
"""

from securecore.database.arrays import array_parameter, in_array_sql
from securecore.database.claims import ClaimStatement
from securecore.database.connections import connection, may_be_standby
from securecore.database.locks import (
    bounded_wait,
    is_deadlock,
    is_lock_timeout,
    limit_waits,
    lock_timeout,
    refused_when_locked,
    take_advisory_lock,
)
from securecore.database.rows import delete_in_batches, delete_returning_last, update
from securecore.database.statements import BoundStatement, Rows, Statement, is_djangos_own
from securecore.database.transactions import (
    committed_transaction,
    has_failed,
    may_hold_locks,
    outermost_transaction,
    outermost_transaction_from,
    require_no_failure,
    require_no_transaction,
    require_outermost_transaction,
    retry_after_deadlock,
)
