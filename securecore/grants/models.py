from __future__ import annotations

import datetime as dt

from django.db import models
from django.db.models import F, Q

#: A grant of ``role:NAME`` makes its principal a holder of the role; what the role may do is granted to ``role:NAME``.
ROLE = "role:"


class Gate(models.Model):
    """One row a principal: what checks and changes of that principal lock, and how often it was changed."""

    #: ``user:<primary key>``, ``service:<client id>``, ``certificate:<thumbprint>``, ``group:<primary key>``,
    #: ``role:<name>``.
    principal = models.CharField(max_length=160, primary_key=True)
    #: Counts the changes of what this principal may do, whatever it follows from.
    epoch = models.BigIntegerField(default=0)

    class Meta:
        db_table = "securecore_gate"

    def __str__(self) -> str:
        return f"{self.principal} at epoch {self.epoch}"


class GrantQuerySet(models.QuerySet["Grant"]):
    def live(self) -> GrantQuerySet:
        """Those that nobody took back; their time may be over, or still to come."""
        return self.filter(revoked_at=None)

    def of(self, principal: str, permission: str) -> GrantQuerySet:
        return self.filter(principal=principal, permission=permission)

    def on(self, object_type: str, object_id: str) -> GrantQuerySet:
        """Those on exactly this object; on none in particular with two empty texts."""
        return self.filter(object_type=object_type, object_id=object_id)

    def revoke(self, *, now: dt.datetime) -> int:
        """Revoke what is not revoked yet; the first instant stays. Take the gate before it."""
        return self.live().update(revoked_at=now)


class Grant(models.Model):
    """That a principal may do something, or with ``denies`` that it must not. A revoked grant stays as history."""

    id = models.BigAutoField(primary_key=True)
    principal = models.CharField(max_length=160)
    permission = models.CharField(max_length=128)
    #: The model (``app.model``) and primary key of the one object that this is about; both empty: every object.
    object_type = models.CharField(max_length=100, blank=True, default="")
    object_id = models.CharField(max_length=255, blank=True, default="")
    #: Wins over every grant that allows.
    denies = models.BooleanField(default=False)
    #: From when to when it counts; null is no bound.
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True, db_index=True)
    #: How much of it there is in each ``period`` seconds, or in all: this many uses, and this much of an amount.
    uses_limit = models.PositiveIntegerField(null=True, blank=True)
    amount_limit = models.BigIntegerField(null=True, blank=True)
    period = models.PositiveIntegerField(null=True, blank=True)
    granted_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True, db_index=True)

    objects = GrantQuerySet.as_manager()

    class Meta:
        db_table = "securecore_grant"
        constraints = [
            models.UniqueConstraint(
                fields=["principal", "permission", "object_type", "object_id", "denies"],
                condition=Q(revoked_at=None),
                name="sc_grant_live_once",
            ),
            models.CheckConstraint(
                condition=Q(object_type="", object_id="") | ~(Q(object_type="") | Q(object_id="")),
                name="sc_grant_object",
            ),
            models.CheckConstraint(
                condition=Q(valid_from=None) | Q(valid_until=None) | Q(valid_from__lt=F("valid_until")),
                name="sc_grant_window",
            ),
            # Each part is spelled so that it is never null: a null passes a check.
            models.CheckConstraint(
                condition=(Q(uses_limit=None) | Q(uses_limit__gt=0))
                & (Q(amount_limit=None) | Q(amount_limit__gt=0))
                & (Q(period=None) | (Q(period__gt=0) & ~Q(uses_limit=None, amount_limit=None)))
                & (Q(denies=False) | Q(uses_limit=None, amount_limit=None)),
                name="sc_grant_allowance",
            ),
            # One step, so that whom a role reaches can be read in one statement.
            models.CheckConstraint(
                condition=~Q(permission__startswith=ROLE)
                | (~Q(principal__startswith=ROLE) & Q(object_type="", uses_limit=None, amount_limit=None)),
                name="sc_grant_role",
            ),
        ]
        indexes = [
            models.Index(fields=["permission", "principal"], condition=Q(revoked_at=None), name="sc_grant_holders"),
        ]

    def __str__(self) -> str:
        verb = "must not" if self.denies else "may"
        what = f" on {self.object_type} {self.object_id}" if self.object_type else ""
        return f"{self.principal} {verb} {self.permission}{what}"


class GrantUse(models.Model):
    """What one caller has used of a consumable grant in one period. Its row is locked until the effect commits."""

    #: The record id of grant, caller and beginning of the period.
    id = models.UUIDField(primary_key=True)
    # No constraint in the database: each table is purged by itself; a trigger takes these with their grant.
    grant = models.ForeignKey(Grant, on_delete=models.CASCADE, db_constraint=False, related_name="used")
    principal = models.CharField(max_length=160)
    uses = models.PositiveIntegerField(default=0)
    amount = models.BigIntegerField(default=0)
    #: When the period ends; null for an allowance without a period.
    expires_at = models.DateTimeField(null=True, db_index=True)

    class Meta:
        db_table = "securecore_grant_use"

    def __str__(self) -> str:
        return f"{self.uses} uses of grant {self.grant_id} by {self.principal}"
