"""The field of securecore's instants, and the check that an instant has a time zone."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.db import models

from securecore.errors import Misuse
from securecore.texts import quoted


def require_aware(instant: Any) -> Any:
    """Return ``instant``; raise ``Misuse`` for a ``datetime`` without a time zone.

    Django reads such a value as local time, with a warning: an expiry date would be hours away from its meaning.
    """
    if isinstance(instant, dt.datetime) and instant.utcoffset() is None:
        raise Misuse(
            f"{quoted(instant)} has no time zone. Pass value=timezone.make_aware(...) of the same value, from "
            f"django.utils."
        )
    return instant


if TYPE_CHECKING:
    InstantField = models.DateTimeField
else:

    class InstantField(models.DateTimeField):
        """A ``DateTimeField`` that takes aware instants only, in rows and conditions; for migrations the same field."""

        def get_prep_value(self, value: Any) -> Any:
            return super().get_prep_value(require_aware(value))

        def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
            name, _, arguments, options = super().deconstruct()
            return name, "django.db.models.DateTimeField", arguments, options
