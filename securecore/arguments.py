"""Checks of the arguments of public functions. A wrong type is ``Misuse``, and the text shows the right call."""

from __future__ import annotations

import datetime as dt
from typing import Any

from securecore.errors import Misuse


def require_user(user: Any) -> Any:
    """Return ``user`` if it is a saved user. Raises ``Misuse`` for a name, a key, and an anonymous user."""
    if getattr(user, "pk", None) is None or not hasattr(user, "get_username"):
        raise Misuse(
            f"{user!r} is no saved user: pass the object, for example "
            f"get_user_model().objects.get_by_natural_key('alice')."
        )
    return user


def require_row(row: Any, model: type[Any]) -> Any:
    """Return ``row`` if it is a saved row of ``model``. Raises ``Misuse``."""
    if not isinstance(row, model) or row.pk is None:
        raise Misuse(f"{row!r} is no saved {model.__name__}: pass {model.__name__}.objects.get(...).")
    return row


def require_text(**named: Any) -> None:
    """Raise ``Misuse`` for an argument that is no text."""
    for name, value in named.items():
        if not isinstance(value, str):
            raise Misuse(f"{name}={value!r} is no text: write {name}='...', or {name}=str(...).")


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
            raise Misuse(f"{name}={value!r} is no instant: pass a datetime with a time zone, {name}={right}.")
        if value.utcoffset() is None:
            raise Misuse(
                f"{name}={value!r} has no time zone: write {name}=timezone.make_aware(...) of the same value, from "
                f"django.utils."
            )
