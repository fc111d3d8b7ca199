"""The middleware of the project: a subclass of a middleware counts as that middleware."""

from __future__ import annotations

from contextlib import suppress

from django.utils.module_loading import import_string

from securecore.conf import django_settings


def position(base: type[object]) -> int | None:
    """Return the index in MIDDLEWARE of the first entry that is ``base`` or inherits from it; None without one."""
    for index, name in enumerate(django_settings.MIDDLEWARE):
        with suppress(ImportError):  # Django itself reports the name
            imported = import_string(name)
            if isinstance(imported, type) and issubclass(imported, base):
                return index
    return None
