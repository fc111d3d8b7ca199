from __future__ import annotations

import datetime as dt

from django.db import models
from django.db.models import F, Q

from securecore.grants.live import NOT_REVOKED
from securecore.instants import InstantField

#: A grant of ``role:NAME`` makes its principal a holder of the role. The role's permissions are granted to the
#: principal ``role:NAME``.
ROLE = "role:"


class Gate(models.Model):
    """One row for each principal. Checks and changes of the principal lock the row; the row counts the changes."""

    #: ``user:<primary key>``, ``service:<client id>``, ``certificate:<thumbprint>``, ``group:<primary key>``,
    #: ``role:<name>``.
    principal = models.CharField(max_length=160, primary_key=True)
    #: Counts the changes of this principal's permissions, also those by its groups, roles and account state.
    epoch = models.BigIntegerField(default=0)

    class Meta:
        db_table = "securecore_gate"

    def __str__(self) -> str:
        return f"{self.principal} at epoch {self.epoch}"


class Lockout(models.Model):
    """A subject that is shut out until ``expires_at``: its requests are refused, and its checks allow nothing.

    The certificates, sessions, tokens and grants of the subject stay as they are, so they work again afterwards.
    """

    #: ``user:<primary key>``, ``service:<client id>``, ``certificate:<thumbprint>``, ``issuer:<RFC 4514 text>``, or
    #: ``everyone``.
    subject = models.CharField(max_length=600, primary_key=True)
    #: The operator's words. No response contains them.
    reason = models.CharField(max_length=255)
    locked_at = InstantField()
    expires_at = InstantField(db_index=True)

    class Meta:
        db_table = "securecore_lockout"

    def __str__(self) -> str:
        return f"{self.subject} until {self.expires_at:%Y-%m-%d %H:%M:%S}"


class GrantQuerySet(models.QuerySet["Grant"]):
    def not_revoked(self) -> GrantQuerySet:
        """Return the grants that are not revoked. They may have ended by their bounds, or begin later."""
        return self.filter(NOT_REVOKED)

    def of(self, principal: str, permission: str) -> GrantQuerySet:
        return self.filter(principal=principal, permission=permission)

    def on(self, object_type: str, object_id: str) -> GrantQuerySet:
        """Return the grants on exactly this object; with two empty texts, the grants on all objects."""
        return self.filter(object_type=object_type, object_id=object_id)

    def revoke(self, *, now: dt.datetime) -> int:
        """Revoke the grants. A grant that is revoked already keeps its instant. Close the gate first."""
        return self.not_revoked().update(revoked_at=now)


class Grant(models.Model):
    """A permission of a principal, or with ``denies`` a denial. A revoked grant stays as history."""

    id = models.BigAutoField(primary_key=True)
    principal = models.CharField(max_length=160)
    permission = models.CharField(max_length=128)
    #: The model (``app.model``) and primary key of the one object of the grant. Both empty: all objects.
    object_type = models.CharField(max_length=100, blank=True, default="")
    object_id = models.CharField(max_length=255, blank=True, default="")
    #: A denial wins over every grant that allows.
    denies = models.BooleanField(default=False)
    #: The grant counts from ``valid_from`` to before ``valid_until``; null is no bound.
    valid_from = InstantField(null=True, blank=True)
    valid_until = InstantField(null=True, blank=True, db_index=True)
    #: The uses and the amount in each ``period`` seconds; without a period, in all.
    uses_limit = models.PositiveIntegerField(null=True, blank=True)
    amount_limit = models.BigIntegerField(null=True, blank=True)
    period = models.PositiveIntegerField(null=True, blank=True)
    granted_at = InstantField()
    revoked_at = InstantField(null=True, blank=True, db_index=True)

    objects = GrantQuerySet.as_manager()

    class Meta:
        db_table = "securecore_grant"
        constraints = [
            models.UniqueConstraint(
                fields=["principal", "permission", "object_type", "object_id", "denies"],
                condition=NOT_REVOKED,
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
            # No part may be null: PostgreSQL and SQLite accept a row for which a CHECK is null.
            models.CheckConstraint(
                condition=(Q(uses_limit=None) | Q(uses_limit__gt=0))
                & (Q(amount_limit=None) | Q(amount_limit__gt=0))
                & (Q(period=None) | (Q(period__gt=0) & ~Q(uses_limit=None, amount_limit=None)))
                & (Q(denies=False) | Q(uses_limit=None, amount_limit=None)),
                name="sc_grant_allowance",
            ),
            # A role cannot hold a role, so one statement without recursion reads the holders of a role.
            models.CheckConstraint(
                condition=~Q(permission__startswith=ROLE)
                | (~Q(principal__startswith=ROLE) & Q(object_type="", uses_limit=None, amount_limit=None)),
                name="sc_grant_role",
            ),
        ]
        indexes = [
            models.Index(fields=["permission", "principal"], condition=NOT_REVOKED, name="sc_grant_holders"),
            # For the history of a principal: the unique constraint has the other grants.
            models.Index(fields=["principal"], condition=Q(revoked_at__isnull=False), name="sc_grant_history"),
        ]

    def __str__(self) -> str:
        verb = "must not" if self.denies else "may"
        on = f" on {self.object_type} {self.object_id}" if self.object_type else ""
        return f"{self.principal} {verb} {self.permission}{on}"


class GrantUse(models.Model):
    """The uses and amount of a consumable grant that one caller has used in one period.

    The effect's transaction locks the row until the effect commits.
    """

    #: The record id of grant, caller and number of the period.
    id = models.UUIDField(primary_key=True)
    # No constraint in the database, since each table is purged by itself. A trigger deletes these rows with the grant.
    grant = models.ForeignKey(Grant, on_delete=models.CASCADE, db_constraint=False, related_name="used")
    principal = models.CharField(max_length=160)
    uses = models.PositiveIntegerField(default=0)
    amount = models.BigIntegerField(default=0)
    #: When the period ends; null for an allowance without a period.
    expires_at = InstantField(null=True, db_index=True)

    class Meta:
        db_table = "securecore_grant_use"

    def __str__(self) -> str:
        return f"{self.uses} uses of grant {self.grant_id} by {self.principal}"
