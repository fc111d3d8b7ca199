"""Checks of the arguments of public functions. A wrong type is ``Misuse``, and the text shows the right call."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from securecore import clock
from securecore.errors import Misuse
from securecore.texts import quoted


def require_user(user: Any) -> Any:
    """Return ``user`` if it is a saved user. Raises ``Misuse`` for a name, a key, a class, and an anonymous user."""
    if isinstance(user, type) or getattr(user, "pk", None) is None or not hasattr(user, "get_username"):
        raise Misuse(
            f"{quoted(user)} is no saved user: pass the object, for example "
            f"get_user_model().objects.get_by_natural_key('alice')."
        )
    return user


def require_row(row: Any, model: type[Any]) -> Any:
    """Return ``row`` if it is a saved row of ``model``. Raises ``Misuse``."""
    if not isinstance(row, model) or row.pk is None:
        raise Misuse(f"{quoted(row)} is no saved {model.__name__}: pass {model.__name__}.objects.get(...).")
    return row


def require_text(**named: Any) -> None:
    """Raise ``Misuse`` for an argument that is no text."""
    for name, value in named.items():
        if not isinstance(value, str):
            raise Misuse(f"{name} is {quoted(value)}, which is no text: write {name}='...', or {name}=str(...).")


def require_name(**named: Any) -> None:
    """Raise ``Misuse`` for an argument that is no text, or an empty one, which would select other rows than one."""
    require_text(**named)
    for name, value in named.items():
        if not value:
            raise Misuse(f"The {name} is empty: pass the {name} of a saved row.")


def require_instant(**named: Any) -> None:
    """Raise ``Misuse`` for an argument that is no instant: a naive datetime is another instant in each time zone.

    The text never proposes the present: as ``expires_at`` it would end a revocation at once.
    """
    for name, value in named.items():
        if not isinstance(value, dt.datetime):
            right = "timezone.now()" if name == "now" else "datetime(YEAR, MONTH, DAY, tzinfo=UTC)"
            raise Misuse(
                f"{name} is {quoted(value)}, which is no instant: pass a datetime with a time zone, {name}={right}."
            )
        if value.utcoffset() is None:
            raise Misuse(
                f"{name} is {quoted(value)}, which has no time zone: write {name}=timezone.make_aware(...) of the same "
                f"value, from django.utils."
            )


def require_past(call: str, instant: Any) -> None:
    """Raise ``Misuse`` for an instant more than ``clock.SKEW`` seconds ahead. ``call`` is the name of the function."""
    require_instant(instant=instant)
    if instant > clock.now() + dt.timedelta(seconds=clock.SKEW):
        raise Misuse(
            f"{instant.isoformat()} is in the future: write {call}(timezone.now()), with timezone from django.utils."
        )


def require_uuid(value: Any, right: str, /) -> None:
    """Raise ``Misuse`` for a value that is no UUID. ``right`` is the right call."""
    if not isinstance(value, uuid.UUID):
        raise Misuse(f"{quoted(value)} is no UUID: {right}.")
