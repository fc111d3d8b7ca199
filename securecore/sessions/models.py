from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from django.db import models

from securecore import digests, leases
from securecore.conf import django_settings
from securecore.errors import Misuse
from securecore.instants import InstantField

#: After a rotation, a request with the old id may read the session for this long.
GRACE = dt.timedelta(seconds=10)


def record_id(session_key: str) -> UUID:
    """Return the primary key of the session with this id. The id itself is not stored."""
    return digests.record_id("session", session_key)


class SessionQuerySet(models.QuerySet["Session"]):
    def live(self, now: dt.datetime) -> SessionQuerySet:
        return self.filter(expires_at__gt=now)

    def for_user(self, user: Any) -> SessionQuerySet:
        return self.filter(user=user)

    def bound_to(self, binding: str) -> SessionQuerySet:
        return self.filter(binding=binding)

    def of_certificate(self, thumbprint: str) -> SessionQuerySet:
        """Return the sessions that were opened under this certificate or are bound to it.

        Raises ``Misuse`` for an empty thumbprint, because each session without a certificate has an empty one.
        """
        if not thumbprint:
            raise Misuse("An empty thumbprint names no certificate.")
        return self.filter(models.Q(certificate=thumbprint) | models.Q(binding=f"x5t#S256:{thumbprint}"))

    def of_certificates(self, thumbprints: Any) -> SessionQuerySet:
        """Return the sessions that were opened under one of these certificates: a list of thumbprints, or a query."""
        return self.filter(certificate__in=thumbprints)

    def named(self, session_key: str) -> SessionQuerySet:
        return self.filter(pk=record_id(session_key))

    def replaced(self, session_key: str, now: dt.datetime) -> SessionQuerySet:
        """Return the live session that a rotation in the last ``GRACE`` moved away from this id."""
        return self.live(now).filter(predecessor=record_id(session_key), rotated_at__gte=now - GRACE)

    def end(self) -> int:
        """End these sessions: delete their rows, so that no worker on any host can load them."""
        ended = self.delete()[0]
        leases.outlast()  # also for no row: another request deleted the row, and may still be waiting for the leases
        return ended


class Session(models.Model):
    #: The record id of the session id; the session id itself is not stored.
    id = models.UUIDField(primary_key=True)
    # No constraint in the database: if raw SQL deletes the user, the session must load as anonymous and still be saved.
    user = models.ForeignKey(
        django_settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, db_constraint=False, related_name="+"
    )
    #: The session's binding, for example ``x5t#S256:<thumbprint>``; empty for a session without a binding.
    binding = models.CharField(max_length=80, blank=True, db_index=True)
    data = models.TextField()
    created_at = InstantField()
    last_seen_at = InstantField()
    #: The end of the idle timeout, at most ``ends_at``. A session is live until this instant; no other column counts.
    expires_at = InstantField(db_index=True)
    #: The end of the absolute timeout, counted from the last login.
    ends_at = InstantField()
    #: The instant of the last login or step-up; null before the first login.
    authenticated_at = InstantField(null=True)

    #: The primary key before the last rotation, for requests that were in flight with the old id.
    predecessor = models.UUIDField(null=True)
    rotated_at = InstantField(null=True)
    #: Whether the session had a user before the last rotation. A session id from before the login never reaches the
    #: logged-in session, because an attacker may have planted that id (session fixation).
    predecessor_was_user = models.BooleanField(default=False)

    #: The user's gate. Each change of the user's privileges raises the gate's epoch. The target is a name, so that this
    #: feature does not import ``grants``.
    gate = models.ForeignKey(
        "securecore.Gate",
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        db_column="principal",
        related_name="+",
    )
    #: The gate's epoch when this id was issued. If the gate has a newer epoch, the next request rotates the id.
    epoch = models.BigIntegerField(default=0)

    #: The place where the session was opened, so that its user recognizes the session. ``address`` and ``device``
    #: decide nothing; ``certificate`` selects the sessions that a revocation of the certificate ends.
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
        user = self.user.get_username() if self.user is not None else "nobody"
        return f"session of {user} since {self.created_at:%Y-%m-%d %H:%M}"
