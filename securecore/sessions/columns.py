"""The column values of a session's row at each kind of write: any change, login, rotation."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from django.contrib.auth import SESSION_KEY
from django.core.exceptions import SuspiciousOperation, ValidationError
from django.db.models import DateTimeField, F, Subquery, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Least

from securecore import user_model
from securecore.conf import settings
from securecore.sessions.models import Session


def absolute_timeout(now: dt.datetime) -> dt.datetime:
    return now + dt.timedelta(seconds=settings.SESSION_ABSOLUTE_TIMEOUT)


def idle_until(now: dt.datetime, seconds: float, ends_at: dt.datetime | None = None) -> Any:
    """Return the end of the idle timeout, at most the absolute timeout. Without ``ends_at`` the row's column counts."""
    idle = now + dt.timedelta(seconds=seconds)
    if ends_at is not None:
        return min(idle, ends_at)
    return Least(Value(idle, output_field=DateTimeField()), F("ends_at"))


def contents(now: dt.datetime, data: dict[str, Any], encoded: str) -> dict[str, Any]:
    """Return the columns that every write sets. Raises ``SuspiciousOperation`` (400) for a malformed user id."""
    user = _user_id(data)
    return {"data": encoded, "user_id": user, "gate_id": _principal(user), "last_seen_at": now}


def at_login(now: dt.datetime, data: dict[str, Any]) -> dict[str, Any]:
    epoch = _epoch(Value(_principal(_user_id(data))))
    return {"authenticated_at": now, "ends_at": absolute_timeout(now), "epoch": epoch}


def at_rotation(now: dt.datetime, row: Session, *, new: UUID) -> dict[str, Any]:
    """Return the columns in which the row of a rotated session differs from ``row``, the row before the rotation."""
    return {
        "id": new,
        "predecessor": row.pk,
        "predecessor_was_user": row.user_id is not None,
        "rotated_at": now,
        "epoch": _epoch(Value(row.gate_id)),
    }


def _epoch(principal: Any) -> Combinable:
    """Return the gate's present epoch as a subquery, which the writing statement runs."""
    gates: Any = Session._meta.get_field("gate").related_model
    epochs = gates._default_manager.filter(pk=principal).values("epoch")
    return Coalesce(Subquery(epochs), 0)


def _principal(user: Any) -> str | None:
    # The user's principal in ``grants``. It is spelled here, because a feature does not import its neighbour.
    return None if user is None else f"user:{user}"


def _user_id(data: dict[str, Any]) -> Any:
    presented = data.get(SESSION_KEY)
    if presented is None:
        return None
    try:
        return user_model.key_field().to_python(presented)
    except ValidationError as error:
        raise SuspiciousOperation("The session names a user that cannot exist.") from error
