from __future__ import annotations

from django.db import models


class Gate(models.Model):
    """One row a principal, there to be locked: checks and revocations of that principal pass one at a time."""

    #: ``user:<primary key>``.
    principal = models.CharField(max_length=128, primary_key=True)
    #: Counts the changes of what this principal may do.
    epoch = models.BigIntegerField(default=0)

    class Meta:
        db_table = "securecore_gate"

    def __str__(self) -> str:
        return f"{self.principal} at epoch {self.epoch}"


class GrantQuerySet(models.QuerySet["Grant"]):
    def live(self) -> GrantQuerySet:
        return self.filter(revoked_at=None)

    def of(self, principal: str, permission: str) -> GrantQuerySet:
        return self.filter(principal=principal, permission=permission)


class Grant(models.Model):
    """That a principal may do something. A revoked grant stays as history."""

    id = models.BigAutoField(primary_key=True)
    principal = models.CharField(max_length=128)
    permission = models.CharField(max_length=128)
    granted_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True, db_index=True)

    objects = GrantQuerySet.as_manager()

    class Meta:
        db_table = "securecore_grant"
        constraints = [
            models.UniqueConstraint(
                fields=["principal", "permission"], condition=models.Q(revoked_at=None), name="sc_grant_live_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.principal} may {self.permission}"
