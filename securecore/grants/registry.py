"""Give and revoke grants."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import transaction
from django.db.models import F

from securecore import db
from securecore.conf import settings
from securecore.grants.gate import take_gate
from securecore.grants.models import Gate, Grant


def principal_of(user: Any) -> str:
    """Return the principal that stands for ``user`` in grants: ``user:<primary key>``. Service accounts are users
    too.
    """
    return f"user:{user.pk}"


def grant(*, principal: str, permission: str, now: dt.datetime) -> bool:
    """Let ``principal`` have ``permission`` and say whether it was news. Opens or joins the outermost transaction."""
    with db.outermost_transaction("grant()"):
        take_gate(principal)
        grants = Grant.objects.using(settings.DATABASE)
        if grants.live().of(principal, permission).exists():
            return False
        grants.create(principal=principal, permission=permission, granted_at=now)
        _count_change(principal)
        return True


def revoke(*, principal: str, permission: str, now: dt.datetime) -> bool:
    """Take ``permission`` from ``principal`` and say whether there was anything to take.

    Opens or joins the outermost transaction, and holds as soon as that has committed: after the wait for the gate every
    effect that was allowed has committed, and every later check reads this.
    """
    with db.outermost_transaction("revoke()"):
        take_gate(principal)
        revoked = Grant.objects.using(settings.DATABASE).live().of(principal, permission).update(revoked_at=now)
        if revoked:
            _count_change(principal)
        return bool(revoked)


def note_change(*principals: str) -> None:
    """Count that what these principals may do has changed elsewhere (a role, say): their gates' epochs move on.

    Waits for what they are doing. Opens or joins a transaction, and holds when that has committed.
    """
    with transaction.atomic(using=settings.DATABASE):
        for start in range(0, len(principals), 500):
            chunk = sorted(principals)[start : start + 500]
            gates = Gate.objects.using(settings.DATABASE)
            gates.bulk_create([Gate(principal=each) for each in chunk], ignore_conflicts=True)
            gates.filter(principal__in=chunk).update(epoch=F("epoch") + 1)


def _count_change(principal: str) -> None:
    Gate.objects.using(settings.DATABASE).filter(principal=principal).update(epoch=F("epoch") + 1)
