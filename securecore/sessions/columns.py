"""What is written into a session's row, and when."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from django.contrib.auth import SESSION_KEY, get_user_model
from django.core.exceptions import SuspiciousOperation, ValidationError
from django.db.models import BooleanField, Case, DateTimeField, F, OuterRef, Subquery, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Least

from securecore.conf import settings
from securecore.sessions.models import Session


def absolute_timeout(now: dt.datetime) -> dt.datetime:
    return now + dt.timedelta(seconds=settings.SESSION_ABSOLUTE_TIMEOUT)


def idle_until(now: dt.datetime, seconds: float, ends_at: dt.datetime | None = None) -> Any:
    """The idle timeout, never beyond the absolute one, which is the row's own if none is given."""
    idle = now + dt.timedelta(seconds=seconds)
    if ends_at is not None:
        return min(idle, ends_at)
    return Least(Value(idle, output_field=DateTimeField()), F("ends_at"))


def contents(now: dt.datetime, data: dict[str, Any], encoded: str) -> dict[str, Any]:
    """What every write sets. Raises ``SuspiciousOperation`` (400) for a user that cannot exist."""
    user = _user_id(data)
    return {"data": encoded, "user_id": user, "gate_id": _principal(user), "last_seen_at": now}


def at_login(now: dt.datetime, data: dict[str, Any]) -> dict[str, Any]:
    epoch = _epoch(Value(_principal(_user_id(data))))
    return {"authenticated_at": now, "ends_at": absolute_timeout(now), "epoch": epoch}


def at_rotation(now: dt.datetime, *, old: UUID, new: UUID) -> dict[str, Any]:
    was_user = Case(When(user_id=None, then=Value(False)), default=Value(True), output_field=BooleanField())
    return {
        "id": new,
        "predecessor": old,
        "predecessor_was_user": was_user,
        "rotated_at": now,
        "epoch": _epoch(OuterRef("gate_id")),
    }


def _epoch(principal: Any) -> Combinable:
    """The gate's present epoch, read in the statement that writes it."""
    gates: Any = Session._meta.get_field("gate").related_model
    found = gates._default_manager.filter(pk=principal).values("epoch")
    return Coalesce(Subquery(found), 0)


def _principal(user: Any) -> str | None:
    # The name that grants give the user: a feature does not ask its neighbour for it.
    return None if user is None else f"user:{user}"


def _user_id(data: dict[str, Any]) -> Any:
    presented = data.get(SESSION_KEY)
    if presented is None:
        return None
    try:
        return get_user_model()._meta.pk.to_python(presented)
    except ValidationError as error:
        raise SuspiciousOperation("The session names a user that cannot exist.") from error
