"""The second statement of a check, behind the gate: the effective grants and the state of the caller.

The state says whether the user is active, the certificate is not revoked, the service is not disabled, none of the
three is locked out, and each credential of the request is live. Like every composed statement, this one names tables of
other features and imports none of them. The first statement, which locks, is in ``gate``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from securecore import database, user_model
from securecore.database.arrays import array_parameter, elements_sql
from securecore.database.functions import BoundFunction, Function
from securecore.database.statements import Rows
from securecore.errors import LockedOut
from securecore.grants.principals import user_key
from securecore.grants.query import effective
from securecore.grants.query.auth_tables import EVERYTHING, flag_sql, name_sql, users_sql
from securecore.grants.query.effective import EffectiveGrant
from securecore.grants.query.lockouts import ISSUER, is_locked_out_sql


class Condition(NamedTuple):
    """The condition that a credential of one kind has ended, in SQL: this package knows neither tokens nor sessions.

    ``ended`` names the parameters in ``types``, and perhaps ``%(now)s``.
    """

    #: The reason of the refusal: ``session-ended``, ``token-revoked``, ``signature-key-revoked``,
    #: ``certificate-revoked`` or ``locked-out``.
    refusal: str
    ended: str
    #: The SQL type of each parameter.
    types: tuple[tuple[str, str], ...]


#: The SQL types of the parameters, beside those of the conditions and of the user's key.
TYPES = {"sc_names": "text[]", "sc_permissions": "text[]", "now": "timestamptz"}


@dataclass(frozen=True, slots=True)
class BoundCondition:
    """A condition with the values of its parameters: one session, token or key, which authenticated a request.

    If the condition holds, a check of that request allows nothing. The check also enters ``gates``: a revocation of
    this credential closes them beside the gates of the caller's own names. Example: for a token the check also enters
    the gate of the certificate under which the token was obtained.
    """

    condition: Condition
    parameters: Mapping[str, Any]
    gates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CallerState:
    #: The code of the refusal, or an empty string. With a code the caller has no permission at all.
    refusal: str
    grants: list[EffectiveGrant]

    def groups(self, names: Collection[str]) -> frozenset[str]:
        """Return the groups and roles of the caller with these own ``names``."""
        return frozenset(grant.name for grant in self.grants).difference(names)


def read(
    names: Sequence[str], permissions: Sequence[str], conditions: Sequence[BoundCondition] = (), *, now: dt.datetime
) -> CallerState:
    """Query the state of the caller with these own names and ``conditions``, and its grants of ``permissions``."""
    return state(query(names, permissions, conditions, now=now).rows(database.connection()), now=now)


def state(rows: Rows, *, now: dt.datetime) -> CallerState:
    """Return the state and grants at ``now`` from the rows of ``query``, which got an earlier instant."""
    grants = (row[1:] for row in rows)
    return CallerState(rows[0][0], effective.read(effective.at(now, grants) if _may_wait() else grants))


def query(
    names: Sequence[str], permissions: Sequence[str], conditions: Sequence[BoundCondition] = (), *, now: dt.datetime
) -> BoundFunction:
    """Return the bound query for ``state``. It may run after ``now``, behind the wait for the gate."""
    connection = database.connection()
    given = {
        "sc_names": array_parameter(names, connection),
        "sc_permissions": array_parameter((*permissions, EVERYTHING), connection),
        "sc_user": user_key(names),
    }
    for bound in conditions:
        given |= bound.parameters
    function = function_of(tuple(bound.condition for bound in conditions))
    return function.bind(given | effective.parameters(now, connection))


def function_of(conditions: tuple[Condition, ...]) -> Function:
    """Return the query for callers with these conditions."""
    return _function(conditions, effective.surroundings())


def _may_wait() -> bool:
    """Say whether the statement may wait behind a lock after ``now`` was read. SQLite waits when a transaction begins.

    A statement that may wait also reads the bounds of the grants, and ``state`` compares them with the instant after
    the wait.
    """
    return database.connection().vendor != "sqlite"


@lru_cache(maxsize=64)
def _function(conditions: tuple[Condition, ...], _: effective.Surroundings) -> Function:
    connection = database.connection()
    names = f"SELECT {elements_sql('sc_names', connection, 'name')}"
    grants = effective.effective_sql(names=names, user="%(sc_user)s", permissions="sc_permissions", bounds=_may_wait())
    refusals = _refusals(names) + "".join(f"WHEN {_behind_gate(ended)} THEN '{code}' " for code, ended, _ in conditions)
    text = f"SELECT CASE {refusals} ELSE '' END, e.* FROM ({grants}) e"  # noqa: S608
    types = TYPES | {"sc_user": str(user_model.key_field().rel_db_type(connection))}
    for condition in conditions:
        types |= dict(condition.types)
    return Function.of("check", text, types)


def _behind_gate(condition: str) -> str:
    """Return ``condition`` with ``now`` replaced by the instant at which PostgreSQL evaluates the condition.

    ``now`` was read before the wait for the gate. Example: a signing key that was retired during the wait ended after
    ``now``, so a comparison with ``now`` would still accept the key.
    """
    if database.connection().vendor != "postgresql":
        return f"({condition})"
    return f"({condition.replace('%(now)s', 'GREATEST(CAST(%(now)s AS timestamptz), clock_timestamp())')})"


def _refusals(names: str) -> str:
    """Return a WHEN for each state of the caller that refuses every permission. ``names`` is a SELECT of its names."""

    def named(kind: str) -> str:
        length = len(kind)
        return f"SELECT substr(name, {length + 1}) FROM ({names}) n WHERE substr(name, 1, {length}) = '{kind}'"  # noqa: S608

    rows = f"SELECT 1 FROM securecore_certificate c WHERE c.thumbprint IN ({named('certificate:')}) AND "  # noqa: S608
    clients = f"SELECT 1 FROM securecore_client WHERE client_id IN ({named('service:')})"  # noqa: S608
    return (
        f"WHEN EXISTS ({named('user:')}) AND NOT EXISTS ({_active_user('%(sc_user)s')}) THEN 'user-inactive' "
        f"WHEN EXISTS ({clients} AND disabled_at IS NOT NULL) THEN 'service-disabled' "
        f"WHEN EXISTS ({rows} c.revoked_at IS NOT NULL) THEN 'certificate-revoked' "
        f"WHEN EXISTS ({rows} c.user_id IS NOT NULL AND NOT EXISTS ({_active_user('c.user_id')})) THEN 'user-inactive' "
        f"WHEN {_behind_gate(is_locked_out_sql(_lockable(names, rows)))} THEN '{LockedOut.code}' "
    )


def _lockable(names: str, rows: str) -> str:
    """Return a SELECT of the subjects of a lockout: the caller's names, and issuer and user of its certificates."""
    of_issuer = rows.replace("SELECT 1 ", f"SELECT '{ISSUER}' || c.issuer ", 1)
    of_user = rows.replace("SELECT 1 ", f"SELECT {name_sql('c.user_id')} ", 1)
    return f"{names} UNION ALL {of_issuer} TRUE UNION ALL {of_user} TRUE"


def _active_user(key: str) -> str:
    return f"{users_sql(key)}{flag_sql('is_active', key)}"
