"""The callers that a permission or a principal concerns, and the decision about each, for operators.

Each decision is made by the permission query, the statement that a check runs behind the gate. Here it runs without the
gate, so it is right for its instant only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from securecore import database
from securecore.conf import settings
from securecore.grants.authorization import Decision, decision_of
from securecore.grants.live import live_sql
from securecore.grants.models import ROLE
from securecore.grants.principals import Target, names_of
from securecore.grants.query import auth_tables, caller_state, effective
from securecore.grants.query.caller_state import CallerState

#: Callers that are read at once.
_PAGE = 200


@dataclass(frozen=True)
class Reason:
    """The decision about a caller, and every live grant and denial that it depends on."""

    decision: Decision
    state: CallerState

    @property
    def grants(self) -> list[effective.EffectiveGrant]:
        """Return the grants and denials of this permission, and the grants of the roles through which they come."""
        about = [grant for grant in self.state.grants if grant.is_about(self.decision.permission, self.decision.on)]
        roles = {grant.name for grant in about if grant.name.startswith(ROLE)}
        return [*about, *(grant for grant in self.state.grants if grant.permission in roles)]


@dataclass(frozen=True)
class Change:
    """A caller with another decision after a change."""

    name: str
    before: str
    after: str


def reason_for(names: str | tuple[str, ...], permission: str, target: Target, *, now: dt.datetime) -> Reason:
    """Decide about one caller with these own names, without the gate."""
    own = names_of(names)
    state = caller_state.read(own, [permission], now=now)
    return Reason(decision_of(state, own, permission, target), state)


def callers_with(permission: str, target: Target, *, now: dt.datetime) -> Iterator[Decision]:
    """Yield the decision about each user, service and certificate that has ``permission`` on ``target``, by name.

    The grants of a certificate and of a service count for that name only, since a user has them only in a request with
    that credential.
    """
    for name in _pages(_direct(), _django(permission), {"permission": permission, **_objects(target)}, now):
        decision = reason_for(name, permission, target, now=now).decision
        if decision:
            yield decision


def changes_by(
    change: Callable[[], Any], principal: str, permission: str, target: Target, *, now: dt.datetime
) -> Iterator[Change]:
    """Yield each caller with another decision after ``change``, of a grant of ``principal``; undo the change.

    ``change`` is called once for each 200 callers of a group or role, in a transaction that rolls back. The gate of
    ``principal`` is closed meanwhile, for some hundredths of a second. Raises ``Misuse`` inside a transaction.
    """
    database.require_no_transaction("changes_by()")
    page: list[str] = []
    for name in [*_pages("SELECT %(principal)s AS name", "", {"principal": principal}, now), None]:
        if name is not None:
            page.append(name)
        if page and (name is None or len(page) == _PAGE):
            yield from _changed(change, page, permission, target, now)
            page = []


def _changed(
    change: Callable[[], Any], page: list[str], permission: str, target: Target, now: dt.datetime
) -> Iterator[Change]:
    def reasons() -> list[str]:
        return [reason_for(name, permission, target, now=now).decision.reason for name in page]

    before = reasons()
    with transaction.atomic(using=settings.DATABASE):
        change()
        after = reasons()
        transaction.set_rollback(True, using=settings.DATABASE)
    for name, was, becomes in zip(page, before, after, strict=True):
        if was != becomes:
            yield Change(name, was, becomes)


def _objects(target: Target) -> dict[str, Any]:
    """Return the parameters of ``_direct``: a grant on a parent's object covers this object too."""
    named = [("", ""), target.own, *target.parents]
    return {"objects": [f"{label}:{key}" for label, key in named]}


def _direct() -> str:
    """Return a SELECT of the principals with a live grant of the permission on the object."""
    among = database.in_array_sql("g.object_type || ':' || g.object_id", "objects", database.connection())
    return (
        "SELECT g.principal AS name FROM securecore_grant g "  # noqa: S608
        f"WHERE g.permission = %(permission)s AND NOT g.denies AND {live_sql('g')} AND {among}"
    )


def _django(permission: str) -> str:
    """Return SELECTs of the users with Django's own permission, where these count as grants; else an empty string."""
    if not settings.DJANGO_PERMISSIONS:
        return ""
    named = "t.app_label || '.' || p.codename = %(permission)s"
    permissions = "auth_permission p JOIN django_content_type t ON t.id = p.content_type_id"
    own, groups, of_groups = (
        auth_tables.permissions_of_users(),
        auth_tables.groups_of_users(),
        auth_tables.permissions_of_groups(),
    )
    selects = []
    if own is not None:
        joined = f"{auth_tables.quoted(own.table)} m ON m.{auth_tables.quoted(own.other)} = p.id"
        user = auth_tables.name_sql(f"m.{auth_tables.quoted(own.user)}")
        selects.append(f"SELECT {user} FROM {permissions} JOIN {joined} WHERE {named}")  # noqa: S608
    if groups is not None:
        joined = (
            f"{auth_tables.quoted(of_groups.table)} o ON o.{auth_tables.quoted(of_groups.other)} = p.id "
            f"JOIN {auth_tables.quoted(groups.table)} m "
            f"ON m.{auth_tables.quoted(groups.other)} = o.{auth_tables.quoted(of_groups.user)}"
        )
        user = auth_tables.name_sql(f"m.{auth_tables.quoted(groups.user)}")
        selects.append(f"SELECT {user} FROM {permissions} JOIN {joined} WHERE {named}")  # noqa: S608
    selects.append(auth_tables.superusers_sql())
    return " UNION ".join(filter(None, selects))


def _pages(base: str, more: str, given: dict[str, Any], now: dt.datetime) -> Iterator[str]:
    """Yield the own names of the callers that go by a name of ``base``, a SELECT of principals, or by ``more``.

    A holder of a role goes by the role, a member of a group by the group. The names come in pages, so that memory stays
    constant.
    """
    connection = database.connection()
    statement = database.Statement(_expanded(base, more))
    parameters: dict[str, Any] = {**given, **effective.parameters(now, connection), "limit": _PAGE}
    if "objects" in given:
        parameters["objects"] = database.array_parameter(given["objects"], connection)
    last = ""
    while True:
        names = [name for (name,) in statement.rows(connection, {**parameters, "last": last})]
        yield from names
        if len(names) < _PAGE:
            return
        last = names[-1]


def _expanded(base: str, more: str) -> str:
    collation = ' COLLATE "C"' if database.connection().vendor == "postgresql" else ""
    own = " OR ".join(
        f"substr(name, 1, {len(prefix)}) = '{prefix}'" for prefix in ("user:", "service:", "certificate:")
    )
    selects = [f"SELECT name FROM holders WHERE {own}"]  # noqa: S608
    if (table := auth_tables.groups_of_users()) is not None:
        group = auth_tables.as_text(auth_tables.group_model()._meta.pk, f"m.{auth_tables.quoted(table.other)}")
        user = auth_tables.name_sql(f"m.{auth_tables.quoted(table.user)}")
        members = f"{auth_tables.quoted(table.table)} m JOIN holders h ON h.name = 'group:' || {group}"
        selects.append(f"SELECT {user} FROM {members}")  # noqa: S608
    selects += [more] if more else []
    return (
        f"WITH direct AS ({base}), holders AS "  # noqa: S608
        "(SELECT name FROM direct UNION SELECT r.principal FROM securecore_grant r "
        f"JOIN direct d ON r.permission = d.name AND NOT r.denies AND {live_sql('r')}) "
        f"SELECT name FROM ({' UNION '.join(selects)}) callers WHERE name{collation} > %(last)s "
        f"ORDER BY name{collation} LIMIT %(limit)s"
    )
