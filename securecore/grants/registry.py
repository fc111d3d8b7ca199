"""Writes of grants: ``grant``, ``revoke``, ``replace``, ``revoke_all`` and ``note_change``.

The first four close the gate before they write. Each is in force once its transaction has committed. The triggers
count the epochs (see triggers/), for changes here and outside securecore.
"""

from __future__ import annotations

import datetime as dt
from contextlib import nullcontext
from functools import partial
from typing import Any, Unpack

from django.db import transaction
from django.db.models import F

from securecore import audit, database, events, leases
from securecore.arguments import require_instant
from securecore.conf import settings
from securecore.database.statements import Rows, Statement
from securecore.grants import gate
from securecore.grants.gate.eviction import ending_holders
from securecore.grants.limits import Limits, check_limits, require_known
from securecore.grants.live import not_revoked_sql
from securecore.grants.models import ROLE, Gate, Grant, GrantQuerySet
from securecore.grants.permission_names import LONGEST, require_permission
from securecore.grants.principals import object_of, require_principal
from securecore.grants.query import effective
from securecore.texts import storable


def grant(
    *,
    principal: str,
    permission: str,
    now: dt.datetime,
    obj: Any = None,
    denies: bool = False,
    **limits: Unpack[Limits],
) -> bool:
    """Grant ``permission`` (on ``obj``) to ``principal``, or with ``denies`` deny it; say whether the grant is new.

    ``limits`` are ``valid_from`` and ``valid_until`` (instants), ``uses_limit``, ``amount_limit`` and ``period`` (in
    seconds). ``replace()`` changes the limits of a live grant. Opens or joins the outermost transaction.

    Raises ``Misuse`` for an unknown limit, for a limit of the wrong type and for limits that contradict each other,
    ``AmountRefused`` (400) for a number out of range, and ``TextRefused`` (400).
    """
    require_instant(now=now)
    require_known(limits)
    check_limits(now=now, denies=denies, **limits)
    object_type, object_id = object_of(obj)
    # Only a denial ends sessions that hold the gate for too long (``ends_holders``): a grant takes no permission away.
    with database.outermost_transaction("grant()"), ending_holders() if denies else nullcontext():
        _close(require_principal(principal), require_permission(permission), ends_holders=denies)
        grants = _rows()
        if grants.not_revoked().of(principal, permission).on(object_type, object_id).filter(denies=denies).exists():
            return False
        grants.create(
            principal=principal,
            permission=permission,
            object_type=object_type,
            object_id=object_id,
            denies=denies,
            granted_at=now,
            **limits,
        )
        named = ":".join(filter(None, (object_type, object_id)))
        audit.report(events.GrantGiven(principal=principal, permission=permission, object=named, denies=denies))
        return True


def revoke(*, principal: str, permission: str, now: dt.datetime, obj: Any = None, denies: bool = False) -> bool:
    """Revoke the grant of ``permission`` (on ``obj``), or with ``denies`` the denial; say whether a live one existed.

    Opens or joins the outermost transaction. The wait for the gate ends once every allowed effect has committed or
    rolled back. Each check after the commit reads the revocation.
    """
    with database.outermost_transaction("revoke()"), ending_holders():
        on = object_of(obj)
        which = {
            "principal": require_principal(principal),
            "permission": storable(permission, longest=LONGEST),
            "type": on[0],
            "object": on[1],
            "denies": denies,
        }
        change = _REVOKING.bind(which | effective.parameters(now, database.connection()))
        revoked = bool(_close(principal, permission, statement=change))
        if revoked:
            named = ":".join(filter(None, on))
            audit.write(events.GrantRevoked(principal=principal, permission=permission, object=named))
        return revoked


def replace(
    *,
    principal: str,
    permission: str,
    now: dt.datetime,
    obj: Any = None,
    denies: bool = False,
    **limits: Unpack[Limits],
) -> bool:
    """Replace the limits of a live grant or denial by ``limits``; say whether there was one.

    Revokes the grant and gives it anew in one transaction, so its uses and amounts begin anew. Each check after the
    commit reads the new limits. Opens or joins the outermost transaction. Raises as ``grant()`` does.
    """
    with database.outermost_transaction("replace()"), ending_holders():
        if not revoke(principal=principal, permission=permission, now=now, obj=obj, denies=denies):
            return False
        named = ":".join(filter(None, object_of(obj)))
        revoked = events.GrantRevoked(principal=principal, permission=permission, object=named)
        transaction.on_commit(partial(events.emit, revoked), using=settings.DATABASE)
        grant(principal=principal, permission=permission, now=now, obj=obj, denies=denies, **limits)
        leases.outlast()
        return True


def revoke_all(*, principal: str, now: dt.datetime) -> int:
    """Revoke all grants of ``principal`` itself, with its roles but without its denials; return their number."""
    with database.outermost_transaction("revoke_all()"), ending_holders():
        roles = _rows().not_revoked().filter(principal=principal, permission__startswith=ROLE)
        gate.close(require_principal(principal), rows_too=tuple(roles.values_list("permission", flat=True)))
        count = _rows().filter(principal=principal, denies=False).revoke(now=now)
        if count:
            audit.write(events.AllGrantsRevoked(principal=principal, count=count))
        return count


def note_change(*principals: str) -> None:
    """Increase the epochs of these principals, for a change of their permissions that no trigger sees.

    Waits for transactions that lock the gates' rows. Opens or joins a transaction.
    """
    with transaction.atomic(using=settings.DATABASE):
        for start in range(0, len(principals), 500):
            chunk = sorted(principals)[start : start + 500]
            gates = Gate.objects.using(settings.DATABASE)
            gates.bulk_create([Gate(principal=each) for each in chunk], ignore_conflicts=True)
            gates.filter(principal__in=chunk).update(epoch=F("epoch") + 1)


#: Revokes the grant of one permission, as ``GrantQuerySet.revoke()`` does.
_REVOKING = Statement(f"""
    UPDATE securecore_grant AS g SET revoked_at = %(now)s
    WHERE principal = %(principal)s AND permission = %(permission)s AND object_type = %(type)s
    AND object_id = %(object)s AND denies = %(denies)s AND {not_revoked_sql("g")}
    RETURNING id
""")  # noqa: S608


def _close(principal: str, permission: str, **change: Any) -> Rows:
    # Lock the role's row too, so that a concurrent change of the role does not miss a new holder (Note [Lock order]).
    return gate.close(principal, rows_too=(permission,) if permission.startswith(ROLE) else (), **change)


def _rows() -> GrantQuerySet:
    return Grant.objects.using(settings.DATABASE)
