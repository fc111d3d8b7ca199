"""What a caller may do at this moment, in one SELECT: its own grants, its groups' and its roles', with their denials.

Written by hand, for PostgreSQL and SQLite, so that other statements can be composed around it. It names tables of other
features and of Django, and imports none of them.

Note [Names]
    A caller goes by several names: its user, the certificate of the request, the service (OAuth client) whose token it
    came with. From these follow the groups of the user (Django's), and the roles that any of these hold. A check locks
    the gates of all of them, and reads the grants of all of them.
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
from securecore.database.statements import Statement
from securecore.grants.models import ROLE
from securecore.grants.principals import Target
from securecore.grants.query import user_tables
from securecore.grants.query.user_tables import EVERYTHING

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
#: Of these, what decides whether something is allowed at all.
_DECIDING = _COLUMNS[1:5]
#: Names whose grants follow from a credential, and not from the user.
_BY_CREDENTIAL = ("certificate:", "service:")
_EVERY_OBJECT = Target()
#: When a grant begins and ends, for whoever judges that later than the database (``at``).
_BOUNDS = ("valid_from", "valid_until")


@dataclass(frozen=True, slots=True)
class EffectiveGrant:
    """A live grant of one of the caller's names. One without ``permission`` says that there is none for this name."""

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
        """Whether it decides about ``permission`` on this object; a grant on no object is about every one.

        A denial on a child model's object forbids its parent's object too: it is the same row, fetched another way.
        """
        if self.permission not in (permission, EVERYTHING):
            return False
        named = (self.object_type, self.object_id)
        if not self.object_type or named == target.own or named in target.parents:
            return True
        return bool(self.denies) and named in target.children


#: What the SQL made here depends on besides arguments: the user model, the database, DJANGO_PERMISSIONS.
Surroundings = tuple[str, str, bool]


def surroundings() -> Surroundings:
    """Return them as they are, for whoever keeps a statement that was made of this SQL."""
    return django_settings.AUTH_USER_MODEL, settings.DATABASE, settings.DJANGO_PERMISSIONS


def effective_sql(
    *, names: Sequence[str], user: str | None, permissions: Sequence[str] = (), bounds: bool = False
) -> str:
    """Return a SELECT for ``read()``: every name of the caller and of its groups, beside it each of its live grants,
    and beside one that makes it hold a role each of the role's; nulls where there is none.

    ``names`` and ``user`` are SQL expressions, of the caller's own names (see ``user_tables.name_sql``) and of its
    user's primary key. With ``permissions``, SQL expressions too, only grants of these are read. With ``bounds`` those
    that are yet to begin are read too, and each row ends with the bounds of both grants, for ``at()``. Parameters are
    those of ``parameters()``, and whatever the expressions hold.
    """
    among = {table: f"{table}.permission IN ({', '.join(permissions)})" if permissions else "TRUE" for table in "grd"}
    held = ", ".join(f"g.{column}" for column in _COLUMNS)
    of_role = ", ".join(f"r.{column} AS role_{column}" for column in _COLUMNS)
    if bounds:
        of_role += "".join(f", {table}.{column} AS {table}_{column}" for table in "gr" for column in _BOUNDS)
    live = _unended if bounds else _live
    ours = (
        f"SELECT n.name, {held}, {of_role} FROM ({_base_sql(names, user)}) n "  # noqa: S608
        f"LEFT JOIN securecore_grant g ON g.principal = n.name AND {live('g')} AND ({among['g']} OR {_is_role('g')}) "
        f"{_of_role_sql()} AND {live('r')} AND {among['r']}"
    )
    django = user_tables.permissions_sql(user) if user is not None and settings.DJANGO_PERMISSIONS else ""
    if not django:
        return ours
    nulls = ", NULL" * (_WIDTH + 2 * len(_BOUNDS) * bounds)
    return f"{ours} UNION ALL SELECT d.*{nulls} FROM ({django}) d WHERE {among['d']}"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Held:
    """What a user holds in a request: ``text`` is of ``held_sql``, and of its certificates and services only those in
    ``names`` were accepted as credentials of this user.
    """

    text: str | None
    names: tuple[str, ...] = ()


def held_sql(*, names: Sequence[str], user: str) -> str:
    """Return an expression for ``read_held()``: text, of every live grant of the caller what decides, and beside one
    that makes it hold a role what decides of each of the role's.

    ``names``, ``user`` and parameters are those of ``effective_sql``; here they may refer to the statement around this,
    which is that of every request, so that each node of its plan counts.
    """
    is_postgresql = database.connection().vendor == "postgresql"
    columns = ["g.principal", *(f"{table}.{column}" for table in "gr" for column in _DECIDING)]
    among = f"IN ({_base_sql(names, user)})"
    if is_postgresql:  # one scan of the index instead of a join
        array = f"ARRAY[{', '.join(names)}] || ARRAY({user_tables.groups_sql(user) or 'SELECT NULL'})"
        among = f"= ANY(CAST({array} AS varchar[]))"
    rows = (
        f"SELECT {', '.join(f'{column} AS held{index}' for index, column in enumerate(columns))} "  # noqa: S608
        f"FROM securecore_grant g {_of_role_sql()} AND {_live('r')} "
        f"WHERE g.principal {among} AND {_live('g')}"
    )
    if settings.DJANGO_PERMISSIONS and (django := user_tables.permissions_sql(user)):
        deciding = ", ".join(f"d.{column}" for column in _DECIDING)
        nulls = ", NULL" * len(_DECIDING)
        rows += f" UNION ALL SELECT 'user', {deciding}{nulls} FROM ({django}) d"  # noqa: S608
    each = ", ".join(f"e.held{index}" for index in range(len(columns)))
    aggregate = f"json_agg(json_build_array({each}))" if is_postgresql else f"json_group_array(json_array({each}))"
    return f"(SELECT CAST({aggregate} AS text) FROM ({rows}) e)"  # noqa: S608


def _of_role_sql() -> str:
    # Nothing is looked up for a grant that is of no role.
    return f"LEFT JOIN securecore_grant r ON r.principal = CASE WHEN {_is_role('g')} THEN g.permission END"


def _base_sql(names: Sequence[str], user: str | None) -> str:
    selects = [f"SELECT CAST({name} AS varchar) AS name" for name in names]
    return " UNION ALL ".join(filter(None, [*selects, user_tables.groups_sql(user) if user is not None else ""]))


def parameters(now: dt.datetime, connection: Any) -> dict[str, Any]:
    """The parameters that ``effective_sql`` itself uses, as ``database`` wants them."""
    return {"now": connection.ops.adapt_datetimefield_value(now)}


def read(rows: Iterable[Sequence[Any]]) -> list[EffectiveGrant]:
    """Return what the rows of ``effective_sql`` say, each grant once: those of the caller's names, then those of the
    roles that none of its names is denied.
    """
    parts = [(EffectiveGrant(*row[: _WIDTH + 1]), row[_WIDTH + 1 :]) for row in rows]
    denied = {grant.permission for grant, _ in parts if grant.denies}
    grants = {grant: None for grant, _ in parts}
    for grant, of_role in parts:
        if grant.permission is not None and grant.permission.startswith(ROLE) and grant.permission not in denied:
            grants[EffectiveGrant(grant.permission, *of_role)] = None
    return list(grants)


def read_held(held: Held) -> list[EffectiveGrant]:
    """Return the grants of ``held``, with nothing in them but what decides."""
    half = 1 + len(_DECIDING)
    return read(
        ("", *_with_nulls(row[1:half]), *_with_nulls(row[half:]))
        for row in json.loads(held.text or "[]")
        if not row[0].startswith(_BY_CREDENTIAL) or row[0] in held.names
    )


def held_now(*, user: Any, names: tuple[str, ...], now: dt.datetime) -> Held:
    """Return what the user with this primary key holds now, by itself and by its ``names`` of accepted credentials."""
    connection = database.connection()
    own = {f"sc_name{index}": name for index, name in enumerate((f"user:{user}", *names))}
    sql = held_sql(names=[f"%({name})s" for name in own], user="%(sc_user)s")
    key = get_user_model()._meta.pk.get_db_prep_value(user, connection)
    statement = Statement(f"SELECT {sql}", new=["now"])
    ((text,),) = statement.rows(connection, {"sc_user": key, **own, **parameters(now, connection)})
    return Held(text, names)


def _with_nulls(deciding: Sequence[Any]) -> tuple[Any, ...]:
    return (None, *deciding, *(None,) * (_WIDTH - 1 - len(deciding)))


def at(now: dt.datetime, rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """Return what the rows of ``effective_sql`` with ``bounds`` would have been at ``now``, which is later than the
    instant that they were read with.
    """
    nothing = (None,) * _WIDTH
    for row in rows:
        name, held, of_role = row[0], row[1 : _WIDTH + 1], row[_WIDTH + 1 : 2 * _WIDTH + 1]
        held_from, held_until, role_from, role_until = row[2 * _WIDTH + 1 :]
        if not _is_within(now, held_from, held_until):
            held = of_role = nothing
        elif not _is_within(now, role_from, role_until):
            of_role = nothing
        yield (name, *held, *of_role)


def _is_within(now: dt.datetime, valid_from: dt.datetime | None, valid_until: dt.datetime | None) -> bool:
    return (valid_from is None or valid_from <= now) and (valid_until is None or valid_until > now)


def deciding(
    grants: Iterable[EffectiveGrant], permission: str, target: Target = _EVERY_OBJECT
) -> tuple[bool, list[EffectiveGrant]]:
    """Return whether ``permission`` on this object is denied, and the grants that allow it: plain ones first, then
    consumable ones, the caller's own before those that follow from groups and roles.
    """
    about = [grant for grant in grants if grant.is_about(permission, target)]
    allowing = [grant for grant in about if not grant.denies]
    return len(allowing) < len(about), sorted(allowing, key=lambda grant: grant.is_consumable)


def _is_role(alias: str) -> str:
    return f"substr({alias}.permission, 1, {len(ROLE)}) = '{ROLE}'"


def _live(alias: str) -> str:
    return f"{_unended(alias)} AND ({alias}.valid_from IS NULL OR {alias}.valid_from <= %(now)s)"


def _unended(alias: str) -> str:
    # Nobody is granted everything: a row of that name, written past grant(), allows nothing. One that denies does deny.
    is_one = f"({alias}.permission <> '{EVERYTHING}' OR {alias}.denies)"
    return f"{is_one} AND {alias}.revoked_at IS NULL AND ({alias}.valid_until IS NULL OR {alias}.valid_until > %(now)s)"
