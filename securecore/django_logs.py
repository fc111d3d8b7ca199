"""Remove secrets from the paths that Django logs. The paths in securecore's own events are clean (``events``)."""

from __future__ import annotations

import logging
from typing import Any, TypeGuard

from securecore.texts import without_secrets


class PathFilter(logging.Filter):
    """Removes secrets from the paths that Django itself logs for a response of 400 and above."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(without_secrets(each) if _is_path(each) else each for each in record.args)
        return True


def _is_path(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value.startswith("/")


#: Where Django writes the path of a request: "Not Found: /page;jsessionid=...".
_DJANGO_LOGGERS = ("django.request", "django.security.csrf")
_path_filter = PathFilter()


def filter_paths() -> None:
    """Remove secrets from the paths in Django's request logs. Other loggers are the project's own."""
    for name in _DJANGO_LOGGERS:
        logging.getLogger(name).addFilter(_path_filter)
