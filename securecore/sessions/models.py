from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from django.db import models

from securecore import digests, leases
from securecore.conf import django_settings
from securecore.errors import Misuse

#: How long a request that was in flight when the id changed is still served, read-only.
GRACE = dt.timedelta(seconds=10)


def record_id(session_key: str) -> UUID:
    """Return the primary key of the session with this id; the id itself is stored nowhere."""
    return digests.record_id("session", session_key)


class SessionQuerySet(models.QuerySet["Session"]):
    def live(self, now: dt.datetime) -> SessionQuerySet:
        return self.filter(expires_at__gt=now)

    def for_user(self, user: Any) -> SessionQuerySet:
        return self.filter(user=user)

    def bound_to(self, binding: str) -> SessionQuerySet:
        return self.filter(binding=binding)

    def of_certificate(self, thumbprint: str) -> SessionQuerySet:
        """Sessions that were opened under this certificate, whatever they are bound to. Raises ``Misuse`` for an empty
        thumbprint: that is the one of every session that was opened without a certificate.
        """
        if not thumbprint:
            raise Misuse("An empty thumbprint names no certificate.")
        return self.filter(models.Q(certificate=thumbprint) | models.Q(binding=f"x5t#S256:{thumbprint}"))

    def of_certificates(self, thumbprints: Any) -> SessionQuerySet:
        """Sessions that were opened under one of these certificates: a list of thumbprints, or a query for them."""
        return self.filter(certificate__in=thumbprints)

    def named(self, session_key: str) -> SessionQuerySet:
        return self.filter(pk=record_id(session_key))

    def replaced(self, session_key: str, now: dt.datetime) -> SessionQuerySet:
        """The live session whose id this was until a moment ago."""
        return self.live(now).filter(predecessor=record_id(session_key), rotated_at__gte=now - GRACE)

    def end(self) -> int:
        """End these sessions: the rows go, so no worker on any host finds them again."""
        ended = self.delete()[0]
        leases.outlast()  # also if another request was first: it may not have waited yet
        return ended


class Session(models.Model):
    #: The record id of the session id; the id itself is nowhere.
    id = models.UUIDField(primary_key=True)
    # No constraint in the database: a session whose user was deleted by raw SQL must load as nobody's, not fail to
    # save.
    user = models.ForeignKey(
        django_settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, db_constraint=False, related_name="+"
    )
    #: Kind and value of what the session is bound to, ``x5t#S256:<thumbprint>``; empty for a session bound to nothing.
    binding = models.CharField(max_length=80, blank=True, db_index=True)
    data = models.TextField()
    created_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    #: The idle timeout, never beyond ``ends_at``. The one predicate of being alive.
    expires_at = models.DateTimeField(db_index=True)
    #: The absolute timeout, counted from the last login.
    ends_at = models.DateTimeField()
    #: The last login or step-up; none for a session that nobody logged in to.
    authenticated_at = models.DateTimeField(null=True)

    #: The record id that this session had before its last rotation, for requests that were in flight with it.
    predecessor = models.UUIDField(null=True)
    rotated_at = models.DateTimeField(null=True)
    #: Whether the predecessor was as privileged as this session. One from before the login opens nothing: whoever
    #: planted it knows it.
    predecessor_was_user = models.BooleanField(default=False)

    #: The user's gate, whose epoch counts what the user may do. A name, so that features need not know each other.
    gate = models.ForeignKey(
        "securecore.Gate",
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        db_column="principal",
        related_name="+",
    )
    #: The gate's epoch when this id was issued. When it moved on, the id changes at the next request.
    epoch = models.BigIntegerField(default=0)

    #: Where the session was opened, for its user to recognize it. Nothing decides by these.
    certificate = models.CharField(max_length=43, blank=True, db_index=True)
    address = models.CharField(max_length=45, blank=True)
    device = models.CharField(max_length=200, blank=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        db_table = "securecore_session"
        constraints = [
            models.CheckConstraint(condition=models.Q(expires_at__lte=models.F("ends_at")), name="sc_session_ends"),
        ]
        indexes = [
            models.Index(
                fields=["predecessor"], condition=models.Q(predecessor__isnull=False), name="sc_session_predecessor"
            ),
        ]

    def __str__(self) -> str:
        return f"session of {self.user_id or 'nobody'} since {self.created_at:%Y-%m-%d %H:%M}"
