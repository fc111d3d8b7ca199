"""The connection of the database that holds securecore's tables."""

from __future__ import annotations

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore.conf import settings


def connection() -> BaseDatabaseWrapper:
    """Return the calling thread's connection of ``SECURECORE["DATABASE"]``."""
    return connections[settings.DATABASE]
