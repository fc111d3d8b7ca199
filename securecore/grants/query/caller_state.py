"""The second statement of a check, behind the gate: the effective grants and the state of the caller.

The state says whether the user is active, the certificate is not revoked, the service is not disabled, and each
credential of the request is live. Like every composed statement, this one names tables of other features and
imports none of them. The first statement, which locks, is in ``gate``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.contrib.auth import get_user_model

from securecore import database
from securecore.caches import BoundedCache
from securecore.database.statements import BoundStatement, Rows, Statement
from securecore.grants.principals import kinds_of, user_key
from securecore.grants.query import effective
from securecore.grants.query.effective import EffectiveGrant
from securecore.grants.query.user_tables import EVERYTHING


@dataclass(frozen=True, slots=True)
class Credential:
    """The session, token or key that authenticated a request, as the condition that it has ended.

    If the condition holds, a check of that request allows nothing. ``ended`` is the condition in SQL, with
    ``parameters`` and perhaps ``%(now)s``: this package knows neither tokens nor sessions. The check also enters
    ``gates``: a revocation of this credential closes them beside the gates of the caller's own names. Example: for a
    token the check also enters the gate of the certificate under which the token was obtained.
    """

    #: The reason of the refusal: ``session-ended``, ``token-revoked`` or ``signature-key-revoked``.
    refusal: str
    ended: str
    parameters: tuple[tuple[str, Any], ...]
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
    names: Sequence[str], permissions: Sequence[str], credentials: Sequence[Credential] = (), *, now: dt.datetime
) -> CallerState:
    """Query the state of the caller with these own names and ``credentials``, and its grants of ``permissions``."""
    return state(query(names, permissions, credentials, now=now).rows(database.connection()), now=now)


def state(rows: Rows, *, now: dt.datetime) -> CallerState:
    """Return the state and grants at ``now`` from the rows of ``query``, which got an earlier instant."""
    grants = (row[1:] for row in rows)
    return CallerState(rows[0][0], effective.read(effective.at(now, grants) if _may_wait() else grants))


def query(
    names: Sequence[str], permissions: Sequence[str], credentials: Sequence[Credential] = (), *, now: dt.datetime
) -> BoundStatement:
    """Return the bound statement whose rows ``state`` reads. It may run after ``now``, behind the wait for the gate."""
    name = tuple(names), tuple(permissions), tuple(credentials), effective.surroundings()
    bound = _queries.get(name)
    if bound is None:
        bound = _bound(*name)
        _queries.put(name, bound)
    return bound.with_new(effective.parameters(now, database.connection()))


def _may_wait() -> bool:
    """Say whether the statement may wait behind a lock after ``now`` was read. SQLite waits when a transaction begins.

    A statement that may wait also reads the bounds of the grants, and ``state`` compares them with the instant after
    the wait.
    """
    return database.connection().vendor != "sqlite"


#: The bound statement of each caller and its permissions, which never changes. No rows are kept here.
_queries: BoundedCache[BoundStatement] = BoundedCache()


def _bound(
    names: tuple[str, ...],
    permissions: tuple[str, ...],
    credentials: tuple[Credential, ...],
    surroundings: effective.Surroundings,
) -> BoundStatement:
    user = user_key(names)
    given = {f"sc_name{index}": name for index, name in enumerate(names)}
    required = {f"sc_permission{index}": name for index, name in enumerate((*permissions, EVERYTHING))}
    conditions = tuple((credential.refusal, credential.ended) for credential in credentials)
    statement = _statement(kinds_of(names), len(required), user is not None, conditions, surroundings)
    more = {name: value for credential in credentials for name, value in credential.parameters}
    return statement.bind({"sc_user": user, **given, **required, **more})


@lru_cache(maxsize=64)
def _statement(
    kinds: tuple[str, ...],
    required: int,
    has_user: bool,
    conditions: tuple[tuple[str, str], ...],
    _: effective.Surroundings,
) -> Statement:
    own = [f"%(sc_name{index})s" for index in range(len(kinds))]
    among = [f"%(sc_permission{index})s" for index in range(required)]
    user = "%(sc_user)s" if has_user else None
    grants = effective.effective_sql(names=own, user=user, permissions=among, bounds=_may_wait())
    refusals = "".join(_refusal(kind, f"%(sc_name{index})s") for index, kind in enumerate(kinds))
    refusals += "".join(f"WHEN {_behind_gate(ended)} THEN '{code}' " for code, ended in conditions)
    refusal = f"CASE {refusals} ELSE '' END"
    return Statement(f"SELECT {refusal}, e.* FROM ({grants}) e", new=["now"])  # noqa: S608


def _behind_gate(condition: str) -> str:
    """Return ``condition`` with ``now`` replaced by the instant at which PostgreSQL evaluates the condition.

    ``now`` was read before the wait for the gate. Example: a signing key that was retired during the wait ended after
    ``now``, so a comparison with ``now`` would still accept the key.
    """
    if database.connection().vendor != "postgresql":
        return f"({condition})"
    return f"({condition.replace('%(now)s', 'GREATEST(CAST(%(now)s AS timestamptz), clock_timestamp())')})"


def _refusal(kind: str, parameter: str) -> str:
    """Return the WHEN that refuses a name of this kind. ``parameter`` is the SQL parameter of the name."""
    if kind == "user:":
        return f"WHEN NOT EXISTS ({_active_user('%(sc_user)s')}) THEN 'user-inactive' "
    value = f"substr({parameter}, {len(kind) + 1})"
    if kind == "service:":
        disabled = f"SELECT 1 FROM securecore_client WHERE client_id = {value} AND disabled_at IS NOT NULL"  # noqa: S608
        return f"WHEN EXISTS ({disabled}) THEN 'service-disabled' "
    rows = f"SELECT 1 FROM securecore_certificate c WHERE c.thumbprint = {value} AND "  # noqa: S608
    return (
        f"WHEN EXISTS ({rows} c.revoked_at IS NOT NULL) THEN 'certificate-revoked' "
        f"WHEN EXISTS ({rows} c.user_id IS NOT NULL AND NOT EXISTS ({_active_user('c.user_id')})) THEN 'user-inactive' "
    )


def _active_user(key: str) -> str:
    return _active_users(get_user_model()).replace("<user>", key)


@lru_cache(maxsize=4)
def _active_users(user: Any) -> str:
    active = any(field.name == "is_active" for field in user._meta.concrete_fields)
    table, column = f'"{user._meta.db_table}"', f'"{user._meta.pk.column}"'
    return f"SELECT 1 FROM {table} u WHERE u.{column} = <user>" + (" AND u.is_active" if active else "")  # noqa: S608
