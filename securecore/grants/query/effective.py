"""The effective grants of a caller, in one SELECT: its own, those of its groups and roles, and the denials.

The SQL is written by hand for PostgreSQL and SQLite, so that other statements can be composed around it. It names
tables of other features and of Django, and imports none of them. Locks are in ``gate``, decisions in
``authorization``.

Note [Names]
    A caller has several own names: its user, the certificate of the request, and the service (OAuth client) of its
    token. The Django groups of the user, and the roles that any of these principals hold, follow from the own names. A
    check locks the gates of all these names, and reads the grants of all of them.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model

from securecore import database
from securecore.conf import django_settings, settings
from securecore.database.arrays import in_array_sql
from securecore.database.statements import Statement
from securecore.grants.live import is_live, live_sql, not_ended_sql
from securecore.grants.models import ROLE
from securecore.grants.principals import Target
from securecore.grants.query import auth_tables
from securecore.grants.query.auth_tables import EVERYTHING
from securecore.instants import require_aware

_COLUMNS = (
    "id",
    "permission",
    "object_type",
    "object_id",
    "denies",
    "uses_limit",
    "amount_limit",
    "period",
)
_WIDTH = len(_COLUMNS)
#: The part of ``_COLUMNS`` that decides whether an action is allowed: every column but the id and the limits.
_DECIDING = _COLUMNS[1:5]
#: Prefixes of names that a credential gives the caller. Their grants count only with that credential.
_BY_CREDENTIAL = ("certificate:", "service:")
_EVERY_OBJECT = Target()
#: The bounds of a grant in time, for ``at``, which compares them with a later instant than PostgreSQL did.
_BOUNDS = ("valid_from", "valid_until")


@dataclass(frozen=True, slots=True)
class EffectiveGrant:
    """A live grant of one of the caller's names. Null in ``permission`` means that this name has no grants."""

    name: str
    #: Null for one of Django's own permissions.
    id: int | None
    permission: str | None
    object_type: str | None
    object_id: str | None
    denies: bool | None
    uses_limit: int | None
    amount_limit: int | None
    period: int | None

    @property
    def is_consumable(self) -> bool:
        return self.uses_limit is not None or self.amount_limit is not None

    def is_about(self, permission: str, target: Target) -> bool:
        """Say whether the grant decides about ``permission`` on this object; a grant without object covers all objects.

        A denial on a child model's object denies its parent's object too. Example: both models read the same row, once
        as ``Place`` and once as ``Restaurant``.
        """
        if self.permission not in (permission, EVERYTHING):
            return False
        named = (self.object_type, self.object_id)
        if not self.object_type or named == target.own or named in target.parents:
            return True
        return bool(self.denies) and named in target.children


#: The settings on which the SQL depends, beside its arguments: user model, database, DJANGO_PERMISSIONS.
Surroundings = tuple[str, str, bool]


def surroundings() -> Surroundings:
    """Return the current settings, for the key of a cache that keeps statements with this SQL."""
    return django_settings.AUTH_USER_MODEL, settings.DATABASE, settings.DJANGO_PERMISSIONS


def effective_sql(*, names: str, user: str, permissions: str = "", bounds: bool = False) -> str:
    """Return a SELECT of the effective grants, for ``read()``.

    A row consists of a name of the caller or of one of its groups, a live grant of that name, and a live grant of the
    role that the first grant gives. The columns of a missing grant are null.

    ``names`` is a SELECT of the caller's own names, ``user`` the SQL expression of its user's primary key, null without
    a user. With ``permissions``, the name of an array parameter, the SELECT reads only grants of these permissions.
    With ``bounds`` it also reads grants that begin later, and each row ends with the bounds of both grants, for
    ``at()``. The parameters are those of ``parameters()`` and of the expressions.
    """
    connection = database.connection()
    among = {
        table: in_array_sql(f"{table}.permission", permissions, connection) if permissions else "TRUE"
        for table in "grd"
    }
    of_name = ", ".join(f"g.{column}" for column in _COLUMNS)
    of_role = ", ".join(f"r.{column} AS role_{column}" for column in _COLUMNS)
    if bounds:
        of_role += "".join(f", {table}.{column} AS {table}_{column}" for table in "gr" for column in _BOUNDS)
    live = not_ended_sql if bounds else live_sql
    base = " UNION ALL ".join(filter(None, [names, auth_tables.groups_sql(user)]))
    ours = (
        f"SELECT n.name, {of_name}, {of_role} FROM ({base}) n "  # noqa: S608
        f"LEFT JOIN securecore_grant g ON g.principal = n.name AND {live('g')} AND {_names_one('g')} "
        f"AND ({among['g']} OR {_is_role('g')}) {_of_role_sql()} AND {live('r')} AND {_names_one('r')} AND {among['r']}"
    )
    django = auth_tables.permissions_sql(user) if settings.DJANGO_PERMISSIONS else ""
    if not django:
        return ours
    nulls = ", NULL" * (_WIDTH + 2 * len(_BOUNDS) * bounds)
    return f"{ours} UNION ALL SELECT d.*{nulls} FROM ({django}) d WHERE {among['d']}"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Granted:
    """The grants of a user in a request: ``text`` is the result of ``granted_sql``.

    ``names`` are the certificates and services that the request has proven for this user. Grants of other certificates
    and services in ``text`` do not count.
    """

    text: str | None
    names: tuple[str, ...] = ()


def granted_sql(*, names: Sequence[str], user: str, more: str = "") -> str:
    """Return an SQL expression for ``read_granted()``: the deciding columns of every live grant of the caller, as JSON.

    A grant that gives a role has beside it the deciding columns of each grant of the role. ``names`` and ``user`` are
    SQL expressions, which may refer to columns of the statement around the expression. ``more`` is a SELECT of further
    names. That statement runs for every request, so each node of its plan costs time.
    """
    is_postgresql = database.connection().vendor == "postgresql"
    columns = ["g.principal", *(f"{table}.{column}" for table in "gr" for column in _DECIDING)]
    selects = [*(f"SELECT {name}" for name in names), more, auth_tables.groups_sql(user)]
    among = f"IN ({' UNION ALL '.join(filter(None, selects))})"
    own = ", ".join(names)
    if is_postgresql:  # one scan of the index instead of a join
        arrays = [f"ARRAY({select})" for select in (more, auth_tables.groups_sql(user)) if select]
        among = f"= ANY(CAST({' || '.join([f'ARRAY[{own}]', *arrays])} AS varchar[]))"
    rows = (
        f"SELECT {', '.join(f'{column} AS granted{index}' for index, column in enumerate(columns))} "  # noqa: S608
        f"FROM securecore_grant g {_of_role_sql()} AND {live_sql('r')} AND {_names_one('r')} "
        f"WHERE g.principal {among} AND {live_sql('g')} AND {_names_one('g')}"
    )
    if settings.DJANGO_PERMISSIONS and (django := auth_tables.permissions_sql(user)):
        deciding = ", ".join(f"d.{column}" for column in _DECIDING)
        nulls = ", NULL" * len(_DECIDING)
        rows += f" UNION ALL SELECT 'user', {deciding}{nulls} FROM ({django}) d"  # noqa: S608
    each = ", ".join(f"e.granted{index}" for index in range(len(columns)))
    aggregate = f"json_agg(json_build_array({each}))" if is_postgresql else f"json_group_array(json_array({each}))"
    return f"(SELECT CAST({aggregate} AS text) FROM ({rows}) e)"  # noqa: S608


def _of_role_sql() -> str:
    # The CASE is null for a grant that gives no role: PostgreSQL then looks nothing up.
    return f"LEFT JOIN securecore_grant r ON r.principal = CASE WHEN {_is_role('g')} THEN g.permission END"


def parameters(now: dt.datetime, connection: Any) -> dict[str, Any]:
    """Return the parameters that ``effective_sql`` itself uses, in the form that ``connection`` takes."""
    return {"now": connection.ops.adapt_datetimefield_value(require_aware(now))}


def read(rows: Iterable[Sequence[Any]]) -> list[EffectiveGrant]:
    """Return the grants in the rows of ``effective_sql``, each once.

    First come the grants of the caller's names, then those of its roles. A role that is denied to one of the names
    does not count.
    """
    parts = [(EffectiveGrant(*row[: _WIDTH + 1]), row[_WIDTH + 1 :]) for row in rows]
    denied = {grant.permission for grant, _ in parts if grant.denies}
    grants = {grant: None for grant, _ in parts}
    for grant, of_role in parts:
        if grant.permission is not None and grant.permission.startswith(ROLE) and grant.permission not in denied:
            grants[EffectiveGrant(grant.permission, *of_role)] = None
    return list(grants)


def read_granted(granted: Granted) -> list[EffectiveGrant]:
    """Return the grants of ``granted``. Only their deciding columns are set."""
    half = 1 + len(_DECIDING)
    return read(
        ("", *_with_nulls(row[1:half]), *_with_nulls(row[half:]))
        for row in json.loads(granted.text or "[]")
        if not row[0].startswith(_BY_CREDENTIAL) or row[0] in granted.names
    )


def granted_now(*, user: Any, names: tuple[str, ...], now: dt.datetime) -> Granted:
    """Return the current grants of the user with this primary key and of the ``names`` of its proven credentials."""
    connection = database.connection()
    own = {f"sc_name{index}": name for index, name in enumerate((f"user:{user}", *names))}
    sql = granted_sql(names=[f"%({name})s" for name in own], user="%(sc_user)s")
    key = get_user_model()._meta.pk.get_db_prep_value(user, connection)
    statement = Statement(f"SELECT {sql}")
    ((text,),) = statement.rows(connection, {"sc_user": key, **own, **parameters(now, connection)})
    return Granted(text, names)


def _with_nulls(deciding: Sequence[Any]) -> tuple[Any, ...]:
    return (None, *deciding, *(None,) * (_WIDTH - 1 - len(deciding)))


def at(now: dt.datetime, rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """Return the rows of ``effective_sql`` as a query at ``now`` would have returned them.

    The query read the rows with ``bounds`` and at an earlier instant, for example before the wait for the gate.
    """
    nothing = (None,) * _WIDTH
    for row in rows:
        name, of_name, of_role = row[0], row[1 : _WIDTH + 1], row[_WIDTH + 1 : 2 * _WIDTH + 1]
        name_from, name_until, role_from, role_until = row[2 * _WIDTH + 1 :]
        if not is_live(name_from, name_until, now=now):
            of_name = of_role = nothing
        elif not is_live(role_from, role_until, now=now):
            of_role = nothing
        yield (name, *of_name, *of_role)


def deciding(
    grants: Iterable[EffectiveGrant], permission: str, target: Target = _EVERY_OBJECT
) -> tuple[bool, list[EffectiveGrant]]:
    """Return whether ``permission`` on this object is denied, and the grants that allow it.

    Plain grants come before consumable ones. Within each, the caller's own grants come before those of its roles.
    """
    about = [grant for grant in grants if grant.is_about(permission, target)]
    allowing = [grant for grant in about if not grant.denies]
    return len(allowing) < len(about), sorted(allowing, key=lambda grant: grant.is_consumable)


def _is_role(alias: str) -> str:
    return f"substr({alias}.permission, 1, {len(ROLE)}) = '{ROLE}'"


def _names_one(alias: str) -> str:
    # grant() refuses the permission "*". SQL may still insert a row with "*": as a grant it allows nothing, as a denial
    # it counts for every permission.
    return f"({alias}.permission <> '{EVERYTHING}' OR {alias}.denies)"
