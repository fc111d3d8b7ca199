from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from securecore.instants import InstantField


class AuditRow(models.Model):
    """One change of state, written in the transaction of the change.

    A trigger refuses each UPDATE, except the seal of an unsealed row, and each DELETE before ``expires_at``.
    """

    id = models.BigAutoField(primary_key=True)
    at = InstantField()
    #: The name of the event, for example ``securecore.identity.certificate-revoked``.
    event = models.CharField(max_length=80)
    #: The principal, certificate, family or key that the change concerns: ``user:7``, ``certificate:...``.
    subject = models.CharField(max_length=255)
    #: See ``securecore.actors.Actor``.
    actor_kind = models.CharField(max_length=11)
    actor = models.CharField(max_length=255)
    address = models.CharField(max_length=255)
    request_id = models.CharField(max_length=64)
    #: The reason that the operator gave.
    reason = models.TextField()
    #: The fields of the event.
    payload = models.JSONField(encoder=DjangoJSONEncoder)
    #: The purge deletes the row from then on, once every row before it in the chain is gone.
    expires_at = InstantField()
    #: The seal: the place in the chain, the digest of the row before, and the digest of this row. Null until the row is
    #: sealed (Note [Chain] in audit/chain.py).
    position = models.BigIntegerField(null=True, unique=True)
    previous = models.CharField(max_length=43, null=True)
    digest = models.CharField(max_length=43, null=True)

    class Meta:
        db_table = "securecore_audit"
        verbose_name = "audit row"
        # Not db_index, which makes a second index of each text column on PostgreSQL: each costs 10 to 20 us in the
        # transaction of the change. The index of ``position`` finds the unsealed rows too, and ids are nearly in the
        # order of ``at``.
        indexes = [
            models.Index(fields=["subject"], name="securecore_audit_subject"),
            models.Index(fields=["actor"], name="securecore_audit_actor"),
            models.Index(fields=["request_id"], condition=~models.Q(request_id=""), name="securecore_audit_request"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.subject}"


class RefusalCount(models.Model):
    """The number of refusals with one code and one reason on one route, of one user, in one minute."""

    #: The record id of all columns but the count.
    id = models.UUIDField(primary_key=True)
    #: The beginning of the minute.
    minute = InstantField()
    code = models.CharField(max_length=64)
    reason = models.CharField(max_length=64)
    #: The path's template in the URLconf, for example ``api/transfers/<int:pk>``; never the path itself.
    route = models.CharField(max_length=200)
    #: The actor, for example ``user:7``; empty if unknown, or if the minute has too many (``refusals.MOST``).
    actor = models.CharField(max_length=255)
    count = models.BigIntegerField()
    expires_at = InstantField(db_index=True)

    class Meta:
        db_table = "securecore_refusal_count"
        verbose_name = "count of refusals"
        verbose_name_plural = "counts of refusals"
        indexes = [models.Index(fields=["minute", "code"], name="securecore_refusal_minute")]

    def __str__(self) -> str:
        return f"{self.code} {self.count} times"


class RefusalTotal(models.Model):
    """The refusals with one code and one reason in one minute or one hour: on all routes, of all actors.

    The table of ``RefusalCount`` has a row for each route and actor, so a sum over its last week reads millions of
    rows in a wave. Here the codes and reasons of the code decide the number of rows: 168 rows a week for each pair.
    """

    #: The record id of the next four columns.
    id = models.UUIDField(primary_key=True)
    #: The length of the time that the row counts: 60 or 3,600.
    seconds = models.PositiveSmallIntegerField()
    #: The beginning of the minute or hour.
    begins = InstantField()
    code = models.CharField(max_length=64)
    reason = models.CharField(max_length=64)
    count = models.BigIntegerField()
    expires_at = InstantField(db_index=True)

    class Meta:
        db_table = "securecore_refusal_total"
        verbose_name = "total of refusals"
        verbose_name_plural = "totals of refusals"
        indexes = [models.Index(fields=["seconds", "begins"], name="securecore_refusal_begins")]

    def __str__(self) -> str:
        return f"{self.code} {self.count} times in {self.seconds} s"
