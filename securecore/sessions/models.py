from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import models

from securecore.conf import django_settings


class SessionQuerySet(models.QuerySet["Session"]):
    def live(self, now: dt.datetime) -> SessionQuerySet:
        return self.filter(expires_at__gt=now)

    def for_user(self, user: Any) -> SessionQuerySet:
        return self.filter(user=user)

    def bound_to(self, binding: str) -> SessionQuerySet:
        return self.filter(binding=binding)

    def end(self) -> int:
        """End these sessions: the rows go, so no worker on any host finds them again."""
        return self.delete()[0]


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

    objects = SessionQuerySet.as_manager()

    class Meta:
        db_table = "securecore_session"
        constraints = [
            models.CheckConstraint(condition=models.Q(expires_at__lte=models.F("ends_at")), name="sc_session_ends"),
        ]

    def __str__(self) -> str:
        return f"session of {self.user_id or 'nobody'} since {self.created_at:%Y-%m-%d %H:%M}"
